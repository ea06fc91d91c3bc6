import { io } from "socket.io-client";

const [url, token, groupId] = process.argv.slice(2);
const socket = io(url, { auth: { token } });
let since; // the version of the last event
socket.on("group:event", ({ version, type, data }) => {
  since = version;
  console.log(type, data.data?.text ?? data.userId);
});
socket.on("connect", async () => {
  const { data, error } = await socket.emitWithAck("group:subscribe", { groupId, since });
  since ??= data?.version;
  console.log(error?.code ?? "following");
});
