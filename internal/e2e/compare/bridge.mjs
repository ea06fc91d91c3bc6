// What clients see when servers share rooms over Redis. The calls are made at a server
// and seen by clients of another. node bridge.mjs CALLER OTHER REDIS MODE prints one
// JSON object a line: {name, seen}.
import { io } from "socket.io-client";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { ask, once, plain, runAll } from "./seen.mjs";

const [caller, other, redis, mode] = process.argv.slice(2);
const behaviours = new Map();
const add = (name, run) => behaviours.set(name, run);
let last = 0;

// client connects, notes all events, and joins rooms of its own.
async function client(url, rooms = [], nsp = "") {
  const socket = io(url + nsp, { forceNew: true, transports: ["websocket"], reconnection: false });
  socket.seen = [];
  socket.onAny((...event) => { if (event[0] !== "question") socket.seen.push(plain(event)); });
  socket.on("question", (value, ack) => { if (!socket.silent) ack(socket.reply ?? "re " + value); });
  await once(socket, "connect");
  for (const room of rooms) await ask(socket, "join", room);
  return socket;
}

// scene runs a behaviour with a client of the caller and two of the other server, in rooms
// that no other behaviour uses.
const scene = (name, run, nsp = "") => add(name, async () => {
  const room = `room${process.pid}.${++last}`;
  const sockets = await Promise.all([client(caller, [], nsp), client(other, [room], nsp), client(other, [room, room + "b"], nsp)]);
  try {
    await warm(sockets[0], room, sockets[1]);
    await warm(sockets[0], room, sockets[2]);
    await warm(sockets[0], room + "b", sockets[2]);
    return plain(await run({ call: sockets[0], one: sockets[1], two: sockets[2], room, b: room + "b", sockets }));
  } finally {
    for (const socket of sockets) socket.disconnect();
  }
});

// warm waits until what the caller emits to a room reaches a socket: Node's sharded adapter
// subscribes some time after the socket has joined.
async function warm(call, room, socket) {
  const seen = once(socket, "warm");
  const emit = () => call.emit("everyone", room, "warm");
  emit();
  const again = setInterval(emit, 50);
  await seen.finally(() => clearInterval(again));
}

// settled returns what clients have seen. A last event, sent the same way, comes after all others.
async function settled({ call, room, b, sockets }, seeing = sockets.slice(1)) {
  for (const socket of seeing) {
    await ask(socket, "join", room + "end");
    await warm(call, room + "end", socket);
  }
  const ends = seeing.map((socket) => once(socket, "end"));
  call.emit("everyone", room + "end", "end");
  await Promise.all(ends);
  const short = (value) => JSON.parse(JSON.stringify(value).replaceAll(room, "room"));
  return seeing.map((socket) => short(socket.seen.filter(([event]) => event === room || (!["end", "warm"].includes(event) && !event.startsWith("room"))))) // without what other behaviours send to all;
}

const payloads = {
  "nothing": [],
  "values": [null, 0, -1, 1.5, 127, 128, -32, -33, 65536, 4294967296, -5000000000, true, false, "", "모임 <&> \u2028"],
  "objects": [{ b: 1, a: [{}, null, []] }, [[1], [2]]],
  "binary": [Buffer.from([1, 2, 3]), { a: Buffer.from([4]), b: [Buffer.alloc(0)] }, "x"],
  "ten attachments": [Array.from({ length: 10 }, (_, i) => Buffer.from([i]))],
  "one list": [[1, 2]],
  "large": ["x".repeat(90_000)],
  "many": Array.from({ length: 20 }, (_, i) => i),
};
for (const [kind, args] of Object.entries(payloads))
  scene("emit " + kind, async (s) => {
    s.call.emit("everyone", s.room, "event", ...args);
    return settled(s);
  });
scene("emit in a namespace", async (s) => {
  s.call.emit("everyone", s.room, "event", 1);
  return settled(s);
}, "/chat");
scene("emit to one of two rooms", async (s) => {
  s.call.emit("everyone", s.b, "event", 1);
  return settled(s);
});
scene("emit to two rooms, once each", async (s) => {
  s.call.emit("several", [s.room, s.b], "event", 1);
  return settled(s);
});
scene("emit except a room", async (s) => {
  s.call.emit("except", s.room, s.b, "event");
  return settled(s);
});
scene("emit except a socket", async (s) => {
  s.call.emit("except", s.room, s.one.id, "event");
  return settled(s);
});
scene("emit to a socket", async (s) => {
  s.call.emit("everyone", s.one.id, "event", "for one");
  return settled(s);
});
scene("emit to the others in a room", async (s) => {
  await ask(s.call, "join", s.room);
  s.call.emit("others", s.room, "event", 1);
  return settled(s, s.sockets);
});
scene("emit to all", async (s) => {
  s.call.emit("all", s.room, 1);
  return settled(s);
});
scene("emit volatile", async (s) => {
  const seen = once(s.one, s.room);
  const again = setInterval(() => s.call.emit("volatileAll", s.room, 1), 50); // a busy socket misses some
  return seen.finally(() => clearInterval(again));
});
scene("order of 300 events", async (s) => {
  for (let i = 0; i < 300; i++) s.call.emit("everyone", s.room, "event", i);
  const seen = await settled(s);
  return seen.map((events) => events.every(([, n], i) => n === i) && events.length);
});
scene("join and leave", async (s) => {
  await ask(s.call, "moveAll", s.room, s.room + "moved");
  for (const socket of [s.one, s.two]) await warm(s.call, s.room + "moved", socket);
  s.call.emit("everyone", s.room, "left");
  return settled(s);
});
scene("find sockets", async (s) => {
  const ids = await ask(s.call, "ids", s.room);
  return [await ask(s.call, "found", s.room + "nobody"), JSON.stringify(ids[0]) === JSON.stringify([s.one.id, s.two.id].sort())];
});
scene("find in a namespace", async (s) => (await ask(s.call, "ids", s.room))[0].length, "/chat");
scene("acknowledgements", async (s) => ask(s.call, "askAll", s.room, "how"));
scene("acknowledgements of nobody", async (s) => ask(s.call, "askAll", s.room + "nobody", "how"));
scene("acknowledgements, one is silent", async (s) => {
  s.one.silent = true;
  return ask(s.call, "askAll", s.room, "how");
});
scene("acknowledgements of both servers", async (s) => {
  await ask(s.call, "join", s.room);
  return ask(s.call, "askAll", s.room, "how");
});
scene("disconnect", async (s) => {
  const ends = [once(s.one, "disconnect"), once(s.two, "disconnect")];
  s.call.emit("kick", s.room);
  return Promise.all(ends);
});

if (process.argv[6] === "node") { // calls that only Node's server has
  if (mode === "classic") scene("node: rooms of all servers", async (s) => {
    const [rooms] = await ask(s.call, "allRooms");
    return [s.room, s.b, s.one.id, s.call.id].map((room) => rooms.includes(room));
  });
  scene("node: a remote socket", async (s) => {
    const seen = await ask(s.call, "remote", s.one.id, "event");
    s.call.emit("everyone", "joined by its remote socket", "after");
    return [seen.slice(1), await settled(s)];
  });
  scene("node: close connections", async (s) => {
    const end = once(s.one, "disconnect");
    await ask(s.call, "leaveRemote", s.one.id);
    return end;
  });
  scene("node: server-side emit", async (s) => {
    await ask(s.call, "serverSideEmit");
    s.call.emit("everyone", s.room, "event", "goes on");
    return settled(s);
  });
}
if (mode === "classic") {
  const client = createClient({ url: redis });
  await client.connect();
  const emitter = new Emitter(client);
  scene("emitter: room", async (s) => {
    emitter.to(s.room).emit("event", "text", 1, Buffer.from([1, 2]));
    return settled(s);
  });
  scene("emitter: rooms, except, volatile", async (s) => {
    const seen = once(s.one, "event");
    const send = () => emitter.to([s.room, s.b]).except(s.b).volatile.compress(true).emit("event", 1);
    const again = setInterval(send, 50); // a busy socket misses some
    await seen.finally(() => clearInterval(again));
    return (await settled(s)).map(([first]) => first);
  });
  scene("emitter: namespace", async (s) => {
    emitter.of("/chat").to(s.room).emit("event", 1);
    return settled(s);
  }, "/chat");
  scene("emitter: all", async (s) => {
    emitter.emit(s.room, new Date(1700000000123), undefined);
    return settled(s);
  });
  scene("emitter: join, leave", async (s) => {
    emitter.in(s.room).socketsJoin(s.room + "new");
    emitter.in(s.b).socketsLeave(s.room);
    emitter.to(s.room + "new").emit("joined"); // in order: the adapter is the classic one
    emitter.to(s.room).emit("left one");
    return settled(s);
  });
  scene("emitter: disconnect", async (s) => {
    const ends = [once(s.one, "disconnect"), once(s.two, "disconnect")];
    emitter.in(s.room).disconnectSockets();
    return Promise.all(ends);
  });
}

// ready waits until the two servers hear each other.
async function ready() {
  for (const nsp of ["", "/chat"]) {
    const [a, b] = [await client(caller, ["ready"], nsp), await client(other, ["ready"], nsp)];
    for (const [from, to] of [[a, b], [b, a]]) {
      const heard = once(to, "hello");
      const again = setInterval(() => from.emit("everyone", "ready", "hello"), 50);
      await heard;
      clearInterval(again);
    }
    a.disconnect();
    b.disconnect();
  }
}
await ready();
await runAll(behaviours, 6);
