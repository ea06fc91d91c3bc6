// Measures how long a store takes for one message of the server, until its subscriber has the new snapshot:
//
//   node scripts/run.mjs bench/fold.ts [MEMBERS]
import { type Client, createMoim } from "../src/client.js";
import { createFakeServer } from "../src/testing.js";
import { until } from "../test/until.js";

const size = Number(process.argv[2] ?? 10_000);
const rounds = 300;
const frame = 16; // milliseconds: a screen shows 60 pictures a second

const server = createFakeServer();
const users = Array.from({ length: size }, (_, n) => `user-${n}`);
const id = server.createGroup({ ownerId: users[0] ?? "", members: users.slice(1) });
for (const userId of users) server.group(id).present.set(userId, { userId, status: "online" });
const moim = createMoim(server.options("user-0")) as Client;
const room = moim.group(id);
await until("the group is live", () => room.getSnapshot().phase === "live");
await until("all are present", () => room.getSnapshot().present.size === size);
const store = moim.peek(id);

// A subscriber that looks at the snapshot, as a component does.
let seen = room.getSnapshot();
room.subscribe(() => {
  seen = room.getSnapshot();
});
moim.mine().subscribe(() => {});

let version = seen.version;
const event = (type: string, data: unknown) => ({
  event: "group:event",
  data: { groupId: id, version: ++version, type, actor: "user-1", data, at: new Date().toISOString() },
});
const member = (userId: string, n: number) => ({ userId, role: "member", attributes: { n }, joinedAt: "" });
const presence = (...items: object[]) => ({ event: "group:presence", data: { groupId: id, items } });
const now = () => new Date().toISOString();
const some = (count: number, n: number) => Array.from({ length: count }, (_, i) => users[(n * 31 + i) % size] ?? "");
const messages: Record<string, (n: number) => { event: string; data: unknown }> = {
  "message.posted": (n) => event("message.posted", { type: "chat", data: n }),
  "group.updated": (n) => event("group.updated", { name: `Group ${n}` }),
  "member.updated": (n) => event("member.updated", member(users[n] ?? "", n)),
  "member.joined": (n) => event("member.joined", member(`new-${n}`, n)),
  "member.left": (n) => event("member.left", { userId: `new-${n}` }),
  "presence of 1": (n) => presence({ userId: users[n], status: n % 2 ? "online" : "reconnecting", at: now() }),
  "presence of 1,000": (n) => presence(...some(1000, n).map((userId) => ({ userId, status: "online", at: now() }))),
  "read marks of 1,000": (n) => ({
    event: "group:read",
    data: { groupId: id, items: some(1000, n).map((userId) => ({ userId, version: version + n })) },
  }),
};

const shown = (ms: number) => ms.toFixed(2).padStart(8);
console.log(`${size} members, ${rounds} messages of each kind; milliseconds for one: median, 99 of 100, longest`);
let longest = 0;
for (const [name, make] of Object.entries(messages)) {
  const times: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const { event, data } = make(n);
    const before = seen;
    const from = performance.now();
    store.push(event, data);
    times.push(performance.now() - from);
    if (seen === before) throw new Error(`${name}: the subscriber was not told`);
  }
  times.sort((a, b) => a - b);
  const [median = 0, most = 0, last = 0] = [rounds / 2, Math.floor(rounds * 0.99), rounds - 1].map((n) => times[n]);
  longest = Math.max(longest, median);
  console.log(`${name.padEnd(20)}${shown(median)}${shown(most)}${shown(last)}`);
}
moim.close();
if (longest > frame) throw new Error(`an update takes ${longest} ms: longer than a frame`);
