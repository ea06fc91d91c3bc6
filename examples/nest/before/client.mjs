import { io } from "socket.io-client";

const [url, token, id] = process.argv.slice(2);
const socket = io(url, { auth: { token } });
socket.on("group", ({ type, data }) => console.log(type, data.text ?? data.userId));
socket.on("connect", async () => {
  const { error } = await socket.emitWithAck("follow", id);
  console.log(error ?? "following");
});
