// Clients of several servers emit to one room for some time, while their servers'
// Redis and one of the servers end. node endure.mjs SECONDS URL... prints "restart Redis"
// and "end a server" when that is due, and then what each client has received of each
// other: {from, to, received, sent, twice, disordered, last}, and how many sockets its
// server found in the room: found.
import { io } from "socket.io-client";

const [seconds, ...urls] = process.argv.slice(2);
const rounds = 100; // events at the end, all of which must arrive

const clients = await Promise.all(urls.map((url, from) => new Promise((resolve) => {
  const socket = io(url, { forceNew: true, transports: ["websocket"], reconnection: false });
  const client = { socket, from, sent: 0, last: 0, seen: urls.map(() => ({ highest: 0, received: 0, twice: 0, disordered: 0, last: 0, hello: 0 })) };
  const numbers = urls.map(() => new Set());
  socket.on("event", (sender, n) => {
    const of = client.seen[sender];
    if (numbers[sender].has(n)) of.twice++;
    else if (n < of.highest) of.disordered++;
    numbers[sender].add(n);
    of.highest = Math.max(of.highest, n);
    of.received++;
  });
  socket.on("hello", (sender, n) => (client.seen[sender].hello = n));
  socket.on("last", (sender, n) => { if (n === client.seen[sender].last + 1) client.seen[sender].last = n; });
  socket.once("connect", () => socket.emit("join", "endure", () => resolve(client)));
})));
const alive = () => clients.filter((client) => client.socket.connected);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const all = (holds) => alive().every((to) => alive().every((from) => holds(to.seen[from.from], from)));
const due = ["restart Redis", "end a server"];
const begun = Date.now();
const end = begun + seconds * 1000;
// On a busy machine Redis may be away for long: more is sent then.
while (Date.now() < end || (Date.now() < end + 60_000 && !all((seen, from) => seen.received >= from.sent / 2))) {
  if (due.length > 0 && Date.now() > begun + ((3 - due.length) * seconds * 1000) / 3) console.log(due.shift());
  for (const client of alive()) client.socket.emit("everyone", "endure", "event", client.from, ++client.sent);
  await pause(10);
}
// All that live hear each other again.
for (let n = 1, limit = Date.now() + 60_000; !all((seen) => seen.hello > 0); n++) {
  for (const client of alive()) client.socket.emit("everyone", "endure", "hello", client.from, n);
  if (Date.now() > limit) break;
  await pause(100);
}
for (let n = 1; n <= rounds; n++) for (const client of alive()) client.socket.emit("everyone", "endure", "last", client.from, n);
for (const limit = Date.now() + 60_000; !all((seen) => seen.last === rounds) && Date.now() < limit;) await pause(50);
const living = alive();
for (const to of living) {
  const found = (await new Promise((resolve) => to.socket.emit("ids", "endure", resolve)))?.length;
  for (const from of living) {
    const { received, twice, disordered, last } = to.seen[from.from];
    console.log(JSON.stringify({ from: from.from, to: to.from, sent: from.sent, received, twice, disordered, last, found }));
  }
}
process.exit(0);
