// The socket.io server of the delivery bench: node server.mjs HOST PORT [REDIS]
// Sockets join a room by the event "subscribe"; POST /publish?room=NAME sends
// its body, a JSON value, to all of it.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

const [host, port, redis] = process.argv.slice(2);

const server = createServer((request, response) => {
  if (request.url === "/ready") {
    response.end();
    return;
  }
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    io.to(new URL(request.url, "http://bench").searchParams.get("room")).emit("message", JSON.parse(body));
    response.writeHead(202).end();
  });
});

const io = new Server(server, { serveClient: false });
if (redis) {
  const publishing = createClient({ url: `redis://${redis}` });
  const subscribing = publishing.duplicate();
  await Promise.all([publishing.connect(), subscribing.connect()]);
  io.adapter(createAdapter(publishing, subscribing));
}
io.on("connection", (socket) => {
  socket.on("subscribe", async (room, answer) => {
    await socket.join(room);
    answer({});
  });
});
server.listen(Number(port), host);
