// What clients see that lose their connection and come back. node recovery.mjs URL prints
// one JSON object a line: {name, seen}.
import { io } from "socket.io-client";
import { ask, once, plain, runAll } from "./seen.mjs";

const url = process.argv[2];
const behaviours = new Map();
const add = (name, run) => behaviours.set(name, run);
let last = 0;

async function client(nsp = "", options = {}) {
  const socket = io(url + nsp, { forceNew: true, transports: ["websocket"], reconnectionDelay: 100, reconnectionDelayMax: 200, ...options });
  socket.seen = [];
  socket.onAny((event, ...args) => socket.seen.push([event, ...args]));
  await once(socket, "connect");
  return socket;
}

// scene runs a behaviour with a client that is in a room and has seen an event, and with
// another one that emits.
const scene = (name, run, { nsp = "", options = {}, seen = true } = {}) => add(name, async () => {
  const room = `room${process.pid}.${++last}`;
  const [one, two] = await Promise.all([client(nsp, options), client(nsp)]);
  try {
    await ask(one, "join", room);
    await ask(one, "remember", { some: room });
    if (seen) {
      two.emit("everyone", room, "first", 1);
      await once(one, "first");
    }
    return JSON.parse(JSON.stringify(plain(await run({ one, two, room, id: one.id }))).replaceAll(room, "room").replaceAll(one.id, "<id>"));
  } finally {
    one.disconnect();
    two.disconnect();
  }
});

// lose ends the client's connection without a word, and holds it back from coming back until
// it is released.
function lose(socket) {
  const gone = once(socket, "disconnect");
  socket.io.reconnection(false);
  const transport = socket.io.engine.transport;
  if (transport.ws) transport.ws.terminate ? transport.ws.terminate() : transport.ws.close();
  else socket.io.engine.close();
  return gone;
}
async function comeBack(socket) {
  const back = once(socket, "connect");
  socket.io.reconnection(true);
  socket.connect();
  await back;
}
// withoutOffsets removes the names of events, which differ from server to server.
const offsets = (events) => events.map(([event, ...args]) => [event, ...args.slice(0, -1), typeof args.at(-1)]);
const after = (socket) => offsets(socket.seen.slice(1));

// settle waits until the server has noticed that the client is gone: nobody is in its room.
async function settle({ two, room }) {
  for (let found = [0]; found.length > 0; ) [found] = await ask(two, "found", room);
}

for (const [kind, options] of Object.entries({ websocket: {}, polling: { transports: ["polling"] }, upgrade: { transports: ["polling", "websocket"] } }))
  scene("comes back by " + kind, async (s) => {
    if (kind === "upgrade") await new Promise((resolve) => (s.one.io.engine.transport.name === "websocket" ? resolve() : s.one.io.engine.once("upgrade", resolve)));
    await lose(s.one);
    await settle(s);
    for (let i = 0; i < 5; i++) s.two.emit("everyone", s.room, "missed", i);
    await ask(s.two, "rooms");
    await comeBack(s.one);
    s.two.emit("everyone", s.room, "later");
    await once(s.one, "later");
    return [s.one.recovered, s.one.id === s.id, after(s.one), await ask(s.one, "rooms"), await ask(s.one, "remember", null), await ask(s.one, "recovered")];
  }, { options });
scene("comes back by another transport", async (s) => {
  await lose(s.one);
  await settle(s);
  s.two.emit("everyone", s.room, "missed");
  await ask(s.two, "rooms");
  s.one.io.opts.transports = ["polling"];
  await comeBack(s.one);
  s.two.emit("everyone", s.room, "later");
  await once(s.one, "later");
  return [s.one.recovered, s.one.id === s.id, after(s.one), s.one.io.engine.transport.name];
});
scene("comes back in a namespace", async (s) => {
  await lose(s.one);
  await settle(s);
  s.two.emit("everyone", s.room, "missed", Buffer.from([1, 2]), { a: Buffer.from([3]) });
  s.two.emit("everyone", s.id, "by its id");
  s.two.emit("except", s.room, s.id, "not for it");
  s.two.emit("except", s.room, "other", "for it");
  await ask(s.two, "rooms");
  await comeBack(s.one);
  s.two.emit("everyone", s.room, "later");
  await once(s.one, "later");
  return [s.one.recovered, after(s.one)];
}, { nsp: "/chat" });
scene("comes back twice", async (s) => {
  const seen = [];
  for (const round of [1, 2]) {
    await lose(s.one);
    await settle(s);
    s.two.emit("everyone", s.room, "missed", round);
    await ask(s.two, "rooms");
    await comeBack(s.one);
    s.two.emit("everyone", s.room, "later", round);
    await once(s.one, "later");
    seen.push(s.one.recovered, s.one.id === s.id);
  }
  return [seen, after(s.one)];
});
scene("misses nothing but volatile events", async (s) => {
  await lose(s.one);
  await settle(s);
  s.two.emit("volatileAll", "volatile");
  s.two.emit("everyone", s.room, "missed");
  await ask(s.two, "rooms");
  await comeBack(s.one);
  s.two.emit("everyone", s.room, "later");
  await once(s.one, "later");
  return after(s.one).filter(([event]) => ["volatile", "missed", "later"].includes(event));
});
scene("has seen no event", async (s) => {
  await lose(s.one);
  await settle(s);
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id, await ask(s.one, "recovered")];
}, { seen: false });
scene("leaves by itself", async (s) => {
  s.one.disconnect();
  await settle(s);
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id];
});
scene("is disconnected by the server", async (s) => {
  const gone = once(s.one, "disconnect");
  s.one.emit("goodbye", false);
  await gone;
  await settle(s);
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id];
});
scene("comes back too late", async (s) => {
  await lose(s.one);
  await new Promise((resolve) => setTimeout(resolve, 11_000)); // the server forgets after 10 s
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id, await ask(s.one, "recovered")];
});
scene("comes with a wrong secret", async (s) => {
  await lose(s.one);
  await settle(s);
  s.one._pid = "x".repeat(s.one._pid.length);
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id];
});
scene("comes with an unknown offset", async (s) => {
  await lose(s.one);
  await settle(s);
  s.one._lastOffset = "unknown";
  await comeBack(s.one);
  return [s.one.recovered, s.one.id === s.id];
});

await runAll(behaviours, 1);
