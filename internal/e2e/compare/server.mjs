// The reference: Node's socket.io with the handlers that compare_test.go gives
// Moim. It prints its port. With the address of a Redis server and a mode (classic, or
// a subscription mode of the sharded adapter), it shares rooms with other servers. With
// the word recovery, clients get back the state of a lost connection.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

const [redis, mode] = process.argv[2] === "recovery" ? [] : process.argv.slice(2);
const recovery = process.argv[2] === "recovery" ? { connectionStateRecovery: { maxDisconnectionDuration: 10_000 } } : {};

async function adapter() {
  process.on("unhandledRejection", () => {}); // the adapter does not handle a failed publish
  const [pub, sub] = [createClient({ url: redis }), createClient({ url: redis })];
  for (const client of [pub, sub]) {
    client.on("error", () => {}); // it reconnects
    await client.connect();
  }
  return mode === "classic" ? createAdapter(pub, sub) : createShardedAdapter(pub, sub, { subscriptionMode: mode });
}

const http = createServer();
http.keepAliveTimeout = 60_000; // a busy machine may reuse a connection just when five seconds end
const io = new Server(http, {
  pingInterval: 2000,
  pingTimeout: 8000,
  connectTimeout: 8000,
  maxHttpBufferSize: 100_000,
  cookie: true, // its name is io
  cors: { origin: "https://app.example", credentials: true },
  ...recovery,
  ...(redis ? { adapter: await adapter() } : {}),
});

const reasons = new Map(); // by the key of the client's auth payload

function serve(nsp) {
  nsp.on("connection", (socket) => {
    const key = socket.handshake.auth.key;
    socket.on("disconnect", (reason) => reasons.set(key + nsp.name, reason));
    socket.on("echo", (...args) => {
      const ack = args.pop();
      if (typeof ack === "function") ack(...args);
    });
    socket.on("push", (event, ...args) => socket.emit(event, ...args));
    socket.on("ask", async (value, ack) => ack(await socket.emitWithAck("question", value)));
    socket.on("join", (room, ack) => { socket.join(room); ack(); });
    socket.on("leave", (room, ack) => { socket.leave(room); ack(); });
    socket.on("rooms", (ack) => ack([...socket.rooms].map((r) => (r === socket.id ? "<id>" : r)).sort()));
    socket.on("others", (room, event, ...args) => socket.to(room).emit(event, ...args));
    socket.on("everyone", (room, event, ...args) => nsp.to(room).emit(event, ...args));
    socket.on("recovered", (ack) => ack(socket.recovered));
    socket.on("all", (event, ...args) => nsp.emit(event, ...args));
    socket.on("volatileAll", (event, ...args) => nsp.volatile.emit(event, ...args));
    socket.on("several", (rooms, event, ...args) => nsp.to(rooms).emit(event, ...args));
    socket.on("ids", async (room, ack) => ack((await nsp.in(room).fetchSockets()).map((s) => s.id).sort()));
    socket.on("allRooms", async (ack) => ack([...(await nsp.adapter.allRooms())].sort()));
    socket.on("remote", async (id, event, ack) => {
      const [remote] = await nsp.in(id).fetchSockets();
      remote.emit(event, "by its remote socket");
      remote.join("joined by its remote socket");
      const answer = await remote.timeout(5000).emitWithAck("question", "remote?");
      ack([...remote.rooms].length, answer, Object.keys(remote.handshake).sort(), typeof remote.handshake.headers["user-agent"], typeof remote.data);
    });
    socket.on("leaveRemote", (id, ack) => { nsp.in(id).disconnectSockets(true); ack(); });
    socket.on("serverSideEmit", (ack) => { nsp.serverSideEmit("hello", 1, Buffer.from([1])); ack(); });
    socket.on("except", (room, without, event) => nsp.to(room).except(without).emit(event));
    socket.on("moveAll", (from, to, ack) => { nsp.in(from).socketsJoin(to); nsp.in(from).socketsLeave(from); ack(); });
    socket.on("found", async (room, ack) => ack((await nsp.in(room).fetchSockets()).map((s) => s.rooms.size).sort()));
    socket.on("askAll", async (room, value, ack) => {
      try {
        ack((await nsp.to(room).timeout(5000).emitWithAck("question", value)).sort(), true);
      } catch (err) {
        ack(err.responses.sort(), false);
      }
    });
    socket.on("kick", (room) => nsp.in(room).disconnectSockets());
    socket.on("goodbye", (close) => socket.disconnect(close));
    socket.on("volatile", (event) => socket.volatile.emit(event));
    socket.on("remember", (value, ack) => { const last = socket.data.value ?? null; socket.data.value = value; ack(last); });
    socket.on("handshake", (ack) => ack({ auth: socket.handshake.auth, color: socket.handshake.headers["x-color"] ?? null, shape: socket.handshake.query.shape ?? null }));
    socket.on("reason", (key, ack) => ack(reasons.get(key) ?? null));
  });
}

serve(io.of("/"));
serve(io.of("/chat"));
const guarded = io.of("/guarded");
guarded.use((socket, next) => {
  if (socket.handshake.auth.pass === "let me in") return next();
  const err = new Error("not you");
  err.data = { code: "forbidden" };
  next(err);
});
serve(guarded);
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
