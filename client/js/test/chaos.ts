// Clients that live through faults. The program prints "ready" when all are live. It then posts, and changes the group,
// until a line arrives on its standard input. When the faults are over, what the clients saw must be what the server has.
//
//   MOIM_SECRET=… node scripts/run.mjs test/chaos.ts URL… -- DIRECT-URL
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import type { Event, GroupHandle, Moim } from "../src/index.js";
import { backEnd, closeAll, connect, connectIO } from "./real.js";
import { until } from "./until.js";

const patience = 90_000;
const urls = process.argv.slice(2, -2);
const direct = process.argv.at(-1) ?? "";
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;

const server = backEnd(direct);
const users = ["ana", "bo", "cy", "di", "ed", "flo"];
const { id } = await server.call("create-group", { name: "Chaos", ownerId: "ana", readReceipts: true });
await server.call("add-members", { groupId: id, userIds: users.slice(1) });

interface Client {
  user: string;
  moim: Moim;
  room: GroupHandle<unknown, { n: number }>;
  events: Event[];
  resets: number;
  posts: Promise<Event>[];
}

const clients = users.map((user, n): Client => {
  const url = urls[n % urls.length] ?? "";
  const moim = n < 4 ? connect(url, user) : connectIO(url, user);
  const room = moim.group<unknown, { n: number }>(id);
  const client: Client = { user, moim, room, events: [], resets: 0, posts: [] };
  room.on("reset", () => client.resets++);
  room.on("event", (event) => {
    const last = client.events.at(-1)?.version;
    assert.ok(last === undefined || event.version === last + 1, `${user}: version ${event.version} after ${last}`);
    client.events.push(event);
  });
  return client;
});
await until("all are live", () => clients.every(({ room }) => room.getSnapshot().phase === "live"), patience);
console.log("ready");

let over = false;
let states = 0;
const finished = new Promise<void>((done) => createInterface({ input: process.stdin }).once("line", () => done()));
finished.then(() => {
  over = true;
});

/** Each client posts, shows a state and reads. */
async function use({ user, room, posts }: Client): Promise<void> {
  for (let n = 0; !over || n < 20; n++) {
    if (posts.length < 400) posts.push(room.post("chat", { user, n }));
    if (n % 5 === 0) void room.present({ n: ++states });
    if (n % 7 === 0) void room.read();
    await sleep(50 + Math.random() * 100);
  }
}

/** A back end changes the group and its members. A call that fails may have been made: that does not matter here. */
async function change(): Promise<void> {
  for (let n = 0; !over; n++) {
    const userId = `u${Math.floor(Math.random() * 40)}`;
    const group = { groupId: id };
    await pick<() => Promise<unknown>>([
      () => server.call("add-members", { ...group, userIds: [userId, `${userId}b`] }),
      () => server.call("remove-member", { ...group, userId }),
      () => server.call("ban-user", { ...group, userId }),
      () => server.call("unban-user", { ...group, userId }),
      () => server.call("mute-user", { ...group, userId }),
      () => server.call("unmute-user", { ...group, userId }),
      () => server.call("update-member", { ...group, userId, attributes: { n } }),
      () => server.call("update-group", { ...group, name: `Chaos ${n}`, attributes: { n } }),
    ])().catch(() => {});
    await sleep(20);
  }
}

await Promise.all([...clients.map(use), change(), finished]);
const answers = await Promise.all(clients.map(({ posts }) => Promise.all(posts)));
// Presence is told at most once: a node may have been killed before it told who came. A new state tells it again.
for (const { room } of clients) void room.present({ n: ++states });

// What the server has.
type Page<T> = { items?: T[] | null; nextCursor?: string };
async function all<T>(read: (cursor: { cursor?: string }) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: { cursor?: string } = {}; ; ) {
    const page = await read(cursor);
    items.push(...(page.items ?? []));
    if (page.nextCursor === undefined) return items;
    cursor = { cursor: page.nextCursor };
  }
}
const log: Event[] = [];
for (;;) {
  const page = await server.call("list-events", { groupId: id, since: log.length, limit: 200 });
  if (!page.items?.length) break;
  log.push(...(page.items as Event[]));
}
const { version, ...record } = await server.call("get-group", { groupId: id });
assert.equal(version, log.length);
const members = await all((cursor) => server.call("list-members", { groupId: id, limit: 200, ...cursor }));

// Every post was made once, and in order.
clients.forEach(({ user }, n) => {
  const made = log.filter(({ type, actor }) => type === "message.posted" && actor === user);
  const expected = (answers[n] ?? []).map(({ version }, i) => [version, i]);
  const found = made.map((event) => [event.version, (event.data as { data: { n: number } }).data.n]);
  assert.deepEqual(found, expected, `${user}'s posts`);
});

for (const { user, moim, room, events, resets } of clients) {
  const now = () => room.getSnapshot();
  await until(`${user} has version ${version}`, () => now().phase === "live" && now().version >= version, patience);
  assert.equal(resets, 1, `${user} started once`);
  // Every event was told once, in order, and as the log has it.
  const own = events.filter((event) => event.version <= version);
  assert.deepEqual(
    own.map((event) => event.version),
    log.slice(-own.length).map((event) => event.version),
  );
  for (const event of own) assert.deepEqual(event, log[event.version - 1], `${user}: event ${event.version}`);
  const plain = (value: object) => ({ ...value, updatedAt: "" });
  assert.deepEqual(plain(now().group ?? {}), plain(record), `${user}: the group`);
  // Read marks are told at most once.
  const known = (list: Iterable<object>) =>
    [...list].map((member) => ({ ...member, status: "", readVersion: 0 }) as { userId?: string });
  const byId = (a: { userId?: string }, b: { userId?: string }) => ((a.userId ?? "") < (b.userId ?? "") ? -1 : 1);
  assert.deepEqual(known(now().members.values()).sort(byId), known(members).sort(byId), `${user}: the members`);

  // Presence and unread messages settle.
  const present = await all((cursor) => server.call("get-presence", { groupId: id, limit: 200, ...cursor }));
  const wanted = present.filter(({ status }) => status === "online");
  await until(
    `${user} sees who is online: ${JSON.stringify([wanted, [...now().present.values()]])}`,
    () =>
      now().online === users.length &&
      wanted.every(
        ({ userId, state }) => (now().present.get(userId)?.state?.n ?? 0) >= ((state as { n?: number })?.n ?? 0),
      ),
  );
  await room.read();
  const mine = await all((cursor) => moim.call("my-groups", cursor));
  assert.equal(now().unread, mine.find((group) => group.id === id)?.unread, `${user}: unread`);
}
console.log(`${clients.length} clients, ${log.length} events, ${answers.flat().length} posts`);
closeAll();
process.exit(0); // calls that were frozen take their time
