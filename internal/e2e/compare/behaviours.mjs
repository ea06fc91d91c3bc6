// What clients see of a server. Each behaviour returns what was seen, without ids.
// node behaviours.mjs URL prints one JSON object a line: {name, seen}.
import { io as io48 } from "socket.io-client";
import { io as io40 } from "socket.io-client-4.0";
import { io as io31 } from "socket.io-client-3.1";
import WebSocket from "ws";
import { ask, once, plain, runAll, within } from "./seen.mjs";

const url = process.argv[2];
const clients = { "4.8": io48, "4.0": io40, "3.1": io31 };
const transports = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const behaviours = new Map();
const add = (name, run) => behaviours.set(name, run);
let lastKey = 0;

// connect opens a socket and passes it to fn.
async function connect(options, fn, { io = io48, nsp = "", wait = true } = {}) {
  const key = "k" + process.pid + "." + ++lastKey;
  const socket = io(url + nsp, { forceNew: true, reconnection: false, ...options, auth: { key, ...options.auth } });
  socket.key = key;
  try {
    if (wait) await once(socket, "connect");
    return plain(await fn(socket, key));
  } finally {
    socket.disconnect();
    socket.io.engine?.close();
  }
}

// upgraded waits until the transport is WebSocket.
const upgraded = (socket) => socket.io.engine.transport.name === "websocket" ? null : within(new Promise((resolve) => socket.io.engine.once("upgrade", resolve)), "upgrade");

// reasonOf asks for the reason of a disconnection until the server knows it.
const reasonOf = (key) => connect({}, async (s) => {
  for (const limit = Date.now() + 30_000; Date.now() < limit; ) {
    const [reason] = await ask(s, "reason", key);
    if (reason) return reason;
  }
});

const payloads = {
  "nothing": [],
  "null": [null],
  "numbers": [0, -1, 1.5, 1e21],
  "text": ["", "모임 <&> \u2028", "\"\\"],
  "booleans": [true, false],
  "an object": [{ b: 1, a: [{}, null] }],
  "arrays": [[], [[1], [2]]],
  "many": Array.from({ length: 20 }, (_, i) => i),
  "binary": [Buffer.from([1, 2, 3])],
  "empty binary": [Buffer.alloc(0)],
  "binary inside": [{ a: Buffer.from([1]), b: [Buffer.from([2, 2])] }, "x"],
  "ten attachments": [Array.from({ length: 10 }, (_, i) => Buffer.from([i]))],
  "binary between": [1, Buffer.from([9]), "two"],
  "large": ["x".repeat(50_000)],
  "large binary": [Buffer.alloc(50_000, 7)],
};
for (const [kind, args] of Object.entries(payloads))
  for (const [name, list] of Object.entries(transports))
    add(`echo by ${name}: ${kind}`, () => connect({ transports: list }, async (s) => {
      if (name === "upgrade") await upgraded(s);
      return ask(s, "echo", ...args);
    }));
for (const [version, io] of Object.entries(clients))
  for (const [name, list] of Object.entries(transports))
    add(`client ${version} by ${name}`, () => connect({ transports: list }, async (s) => {
      if (name === "upgrade") await upgraded(s);
      return [await ask(s, "echo", "hi", Buffer.from([1])), s.io.engine.transport.name];
    }, { io }));

for (const [name, list] of Object.entries(transports)) {
  add(`events in order by ${name}`, () => connect({ transports: list }, async (s) => {
    const seen = [];
    s.on("n", (i) => seen.push(i));
    for (let i = 0; i < 200; i++) s.emit("push", "n", i);
    await ask(s, "echo");
    return seen.every((n, i) => n === i) && seen.length;
  }));
  add(`pushed arguments by ${name}`, () => connect({ transports: list }, async (s) => {
    s.emit("push", "got", 1, { a: Buffer.from([5]) }, null);
    return once(s, "got");
  }));
  add(`the server asks by ${name}`, () => connect({ transports: list }, async (s) => {
    s.on("question", (v, ack) => ack({ answer: v, bin: Buffer.from([1]) }));
    return ask(s, "ask", "life");
  }));
  add(`heartbeats by ${name}`, () => connect({ transports: list }, async (s) => {
    let pings = 0;
    await within(new Promise((resolve) => s.io.engine.on("packet", (p) => p.type === "ping" && ++pings === 2 && resolve())), "two pings");
    return [s.connected, (await ask(s, "echo", 1))];
  }));
  add(`the client leaves by ${name}`, async () => {
    const key = await connect({ transports: list }, async (s) => { await ask(s, "echo"); return s.key; });
    return reasonOf(key + "/");
  });
  for (const close of [false, true])
    add(`the server disconnects (${close}) by ${name}`, () => connect({ transports: list }, async (s) => {
      s.emit("goodbye", close);
      const [reason] = await once(s, "disconnect");
      return [reason, s.connected];
    }));
  add(`the reason of a server's disconnection by ${name}`, async () => {
    const key = await connect({ transports: list }, async (s) => { s.emit("goodbye", false); await once(s, "disconnect"); return s.key; });
    return connect({}, (s) => ask(s, "reason", key + "/"));
  });
  add(`volatile by ${name}`, () => connect({ transports: list }, async (s) => {
    const got = once(s, "light");
    const timer = setInterval(() => s.emit("volatile", "light"), 50);
    try { return await got; } finally { clearInterval(timer); }
  }));
}

add("namespaces share a connection", () => connect({}, async (s) => {
  const chat = s.io.socket("/chat", { auth: { key: "x" } });
  await once(chat, "connect");
  const seen = [await ask(chat, "echo", 1), await ask(s, "echo", 2), chat.id !== s.id];
  chat.disconnect();
  return [...seen, await ask(s, "echo", 3)];
}));
add("one namespace alone", () => connect({}, (s) => ask(s, "echo", Buffer.from([1])), { nsp: "/chat" }));
add("an unknown namespace", () => connect({}, async (s) => { const [e] = await once(s, "connect_error"); return [e.message, e.data ?? null]; }, { nsp: "/nowhere", wait: false }));
add("a refused namespace", () => connect({ auth: { pass: "please" } }, async (s) => { const [e] = await once(s, "connect_error"); return [e.message, e.data]; }, { nsp: "/guarded", wait: false }));
add("an allowed namespace", () => connect({ auth: { pass: "let me in" } }, (s) => ask(s, "echo", "in"), { nsp: "/guarded" }));
add("a refused client may ask again", () => connect({ auth: { pass: "no" } }, async (s) => {
  await once(s, "connect_error");
  s.auth = { pass: "let me in" };
  s.connect();
  await once(s, "connect");
  return ask(s, "echo", "second");
}, { nsp: "/guarded", wait: false }));
add("the main namespace goes on after a refused one", () => connect({}, async (s) => {
  const other = s.io.socket("/nowhere");
  await once(other, "connect_error");
  return ask(s, "echo", 1);
}));
add("leaving a namespace has its reason", async () => {
  const key = await connect({}, async (s) => { const c = s.io.socket("/chat", { auth: { key: s.key } }); await once(c, "connect"); c.disconnect(); await ask(s, "echo"); return s.key; });
  return reasonOf(key + "/chat");
});
add("connecting again after leaving", () => connect({}, async (s) => {
  s.disconnect();
  s.connect();
  await once(s, "connect");
  return ask(s, "echo", "again");
}));
add("the handshake", () => connect({ auth: { a: 1 }, query: { shape: "round" }, extraHeaders: { "x-color": "red" } }, async (s) => {
  const [h] = await ask(s, "handshake");
  delete h.auth.key;
  return h;
}));
add("socket data", () => connect({}, async (s) => [await ask(s, "remember", { a: 1 }), await ask(s, "remember", 2), await ask(s, "remember", null)]));
add("rooms", () => connect({}, async (s) => {
  const seen = [await ask(s, "rooms")];
  await ask(s, "join", "a");
  await ask(s, "join", "b");
  seen.push(await ask(s, "rooms"));
  await ask(s, "leave", "a");
  return [...seen, await ask(s, "rooms")];
}));

// three connects three sockets; fn gets them and what each saw.
async function three(rooms, fn) {
  return connect({}, (a) => connect({}, (b) => connect({}, async (c) => {
    const all = [a, b, c], seen = [[], [], []];
    for (const [i, s] of all.entries()) {
      s.onAny((...event) => seen[i].push(event));
      for (const room of rooms[i]) await ask(s, "join", room);
    }
    await fn(a, b, c);
    for (const s of all) { await ask(s, "echo"); await ask(s, "echo"); }
    return seen;
  })));
}
let roomNumber = 0;
const room = (name) => `${name}-${process.pid}-${++roomNumber}`;
add("to others in a room", () => { const r = room("r"); return three([[r], [r], []], async (a) => { a.emit("others", r, "e", 1, "two"); await ask(a, "echo"); }); });
add("to everyone in a room", () => { const r = room("r"); return three([[r], [r], []], async (a) => { a.emit("everyone", r, "e", Buffer.from([1])); await ask(a, "echo"); }); });
add("to two rooms, once each", () => { const r = room("r"), q = room("q"); return three([[r, q], [q], []], async (a) => { a.emit("everyone", [r, q], "e"); await ask(a, "echo"); }); });
add("to a room except another", () => { const r = room("r"), q = room("q"); return three([[r], [r, q], [q]], async (a) => { a.emit("except", r, q, "e"); await ask(a, "echo"); }); });
add("to a socket by its id", () => three([[], [], []], async (a, b) => { a.emit("everyone", b.id, "e"); await ask(a, "echo"); }));
add("to a room that nobody is in", () => three([[], [], []], async (a) => { a.emit("everyone", room("none"), "e"); await ask(a, "echo"); }));
add("sockets are moved between rooms", () => { const r = room("r"), q = room("q"); return three([[r], [r], []], async (a) => { await ask(a, "moveAll", r, q); a.emit("everyone", r, "old"); a.emit("everyone", q, "new"); await ask(a, "echo"); }); });
add("sockets of a room are found", async () => {
  const r = room("r"), q = room("q"), found = [];
  await three([[r], [r, q], [q]], async (a, b) => {
    for (const target of [r, q, [r, q], b.id, room("none")]) found.push(await ask(a, "found", target));
  });
  return found;
});
for (const [name, silent] of [["all", false], ["all but one", true]])
  add(`a broadcast that ${name} acknowledge`, async () => {
    const r = room("r");
    let replies;
    const seen = await three([[r], [r], [r]], async (a, b, c) => {
      a.on("question", (value, ack) => ack("a" + value));
      b.on("question", (value, ack) => ack("b" + value, "not seen by Node's callers"));
      c.on("question", (value, ack) => silent || ack("c" + value));
      replies = await ask(a, "askAll", r, 7);
    });
    return [replies, seen.map((events) => events.map((event) => event.slice(0, 2)))];
  });
add("sockets of a room are disconnected", () => connect({}, (a) => connect({}, async (b) => {
  const r = room("r");
  await ask(b, "join", r);
  a.emit("kick", r);
  const [reason] = await once(b, "disconnect");
  return [reason, a.connected];
})));

// What goes over the wire.
const get = async (query, init = {}) => {
  const r = await fetch(`${url}/socket.io/?${query}`, { ...init, headers: { origin: "https://app.example", ...init.headers } });
  const body = (await r.text())
    .replace(/"sid":"[^"]*"/, '"sid":"<sid>"')
    .split("\x1e").filter((packet, _, all) => packet !== "2" || all.length === 1).join("\x1e") // without pings
    .replace("6\x1e1", "1"); // Node's server sometimes has a noop before the close
  const cors = {};
  for (const h of ["access-control-allow-origin", "access-control-allow-credentials", "content-type", "cache-control", "set-cookie"])
    if (r.headers.has(h)) cors[h] = r.headers.get(h).toLowerCase().replace(/io=[^;]*/, "io=<sid>");
  return [r.status, body, cors];
};
const opened = async () => JSON.parse((await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text()).slice(1)).sid;
const poll = "EIO=4&transport=polling";
add("wire: open", () => get(poll));
add("wire: no transport", () => get("EIO=4"));
add("wire: an unknown transport", () => get("EIO=4&transport=pigeon"));
add("wire: version 3", () => get("EIO=3&transport=polling"));
add("wire: WebSocket without upgrade", () => get("EIO=4&transport=websocket"));
add("wire: POST to open", () => get(poll, { method: "POST" }));
add("wire: an unknown session", () => get(`${poll}&sid=unknown`));
const session = (steps) => async () => {
  const sid = await opened();
  const seen = [];
  for (const [method, body] of steps) {
    let answer;
    do answer = await get(`${poll}&sid=${sid}`, { method, body, headers: body ? { "content-type": "text/plain" } : {} });
    while (method === "GET" && answer[1] === "2"); // a ping alone
    seen.push(answer);
  }
  return seen;
};
add("wire: connect by polling", session([["POST", "40"], ["GET"]]));
add("wire: connect with auth", session([["POST", '40{"key":"w"}'], ["GET"], ["POST", '420["echo",1]'], ["GET"]]));
add("wire: several packets", session([["POST", "40"], ["GET"], ["POST", '421["echo","a"]\x1e422["echo","b"]'], ["GET"]]));
add("wire: binary", session([["POST", "40"], ["GET"], ["POST", '451-3["echo",{"_placeholder":true,"num":0}]\x1ebAQID'], ["GET"]]));
add("wire: a namespace", session([["POST", "40/chat,"], ["GET"], ["POST", '42/chat,7["echo",null]'], ["GET"]]));
add("wire: an unknown namespace", session([["POST", "40/none,"], ["GET"]]));
add("wire: PUT", session([["PUT", "x"]]));
add("wire: too large", session([["POST", "4" + "x".repeat(100_001)], ["POST", "40"], ["GET"]]));
add("wire: an invalid packet", session([["POST", "abc"], ["GET"]]));
for (const [what, packet] of Object.entries({
  "a second connect": "40", "an event elsewhere": '42/chat,["x"]', "a reserved name": '42["connect"]', "an object": "42{}", "trailing text": '42["x"]x',
  "no event name": "42[]", "an unknown type": "47", "a connect error": "44{}", "too many attachments": '4511-["x"]', "no attachments": '450-["x"]', "a wrong auth": "40[1]",
}))
  add(`wire: closed by ${what}`, session([["POST", "40"], ["GET"], ["POST", packet], ["GET"]]));
const preflight = (origin) => async () => {
  const r = await fetch(`${url}/socket.io/?${poll}`, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-one" } });
  return [r.status, r.headers.get("access-control-allow-origin"), r.headers.get("access-control-allow-credentials"), r.headers.get("access-control-allow-headers")];
};
add("wire: a preflight", preflight("https://app.example"));

// ws opens a WebSocket and returns what came until the end or n messages. It writes
// one of the steps, a message or several, after each message that comes.
const ws = (query, steps, n) => within(new Promise((resolve, reject) => {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?${query}`);
  const seen = [];
  const end = (how) => { socket.terminate(); resolve([...seen, how]); };
  socket.on("message", (data, binary) => {
    const text = binary ? "binary:" + data.toString("hex") : data.toString().replace(/"sid":"[^"]*"/, '"sid":"<sid>"');
    if (text === "2") return;
    for (const m of [steps[seen.length] ?? []].flat()) socket.send(m);
    seen.push(text);
    if (seen.length === n) end("enough");
  });
  socket.on("close", (code) => end("closed " + code));
  socket.on("unexpected-response", (_, r) => end("refused " + r.statusCode));
  socket.on("error", reject);
}), "WebSocket");
const direct = "EIO=4&transport=websocket";
add("ws: open", () => ws(direct, [], 1));
add("ws: echo", () => ws(direct, ["40", '421["echo",{"b":1,"a":2}]'], 3));
add("ws: binary", () => ws(direct, ["40", ['451-1["echo",{"_placeholder":true,"num":0}]', Buffer.from([7, 8])]], 4));
add("ws: two namespaces", () => ws(direct, ["40", "40/chat,", '42/chat,1["echo"]'], 4));
add("ws: an unknown session", () => ws(direct + "&sid=unknown", [], 1));
add("ws: version 3", () => ws("EIO=3&transport=websocket", [], 1).then((seen) => seen.at(-1).startsWith("refused") || seen.at(-1).startsWith("closed") ? "refused" : seen, () => "refused"));
for (const [what, messages] of Object.entries({
  "text between binary": ["40", ['451-["echo",{"_placeholder":true,"num":0}]', '42["echo"]']], "binary without a header": ["40", Buffer.from([1])],
  "a placeholder without attachment": ["40", ['451-1["echo",{"_placeholder":true,"num":5}]', Buffer.from([1])]], "an empty message": ["40", "4"], "a ping": ["40", "2"], "an unknown packet": ["40", "9"],
}))
  add(`ws: closed by ${what}`, () => ws(direct, messages, 5));
add("ws: no namespace in time", () => ws(direct, [], 5));
add("ws: no heartbeat", () => ws(direct, ["40"], 5));
add("ws: too large", () => ws(direct, ["40", "4" + "x".repeat(100_001)], 5));

const only = process.argv[3];
await runAll([...behaviours].filter(([name]) => !only || name.includes(only)), 8);
