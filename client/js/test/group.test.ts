import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event, GroupSnapshot } from "../src/index.js";
import { createFakeServer } from "../src/testing.js";
import { connect, live, requests } from "./helpers.js";
import { until } from "./until.js";

test("a store shows the group, its members, and who is present", async () => {
  const { server, id, group } = await live();
  const before = group.getSnapshot();
  assert.equal(before, group.getSnapshot(), "the same snapshot until something changes");
  assert.deepEqual([...before.members.keys()], ["owner", "ana", "bo"]);
  assert.equal(before.me?.userId, "ana");
  assert.equal(before.group?.memberCount, 3);
  await until("ana is present", () => group.getSnapshot().online === 1);

  let told = 0;
  const off = group.subscribe(() => told++);
  server.join(id, "cy");
  await until("cy is a member", () => group.getSnapshot().members.has("cy"));
  assert.equal(before.members.has("cy"), false, "a snapshot is never modified");
  assert.equal(group.getSnapshot().group?.memberCount, 4);
  assert.ok(told > 0);
  const members = group.getSnapshot().members;
  server.update(id, { name: "New" });
  await until("the name is new", () => group.getSnapshot().group?.name === "New");
  assert.equal(group.getSnapshot().members, members, "what did not change is the same object");
  off();
  told = 0;
  server.leave(id, "cy");
  await until("cy is gone", () => !group.getSnapshot().members.has("cy"));
  assert.equal(told, 0);
});

test("listeners are told of a post that was made before the connection", async () => {
  const server = createFakeServer();
  const group = connect(server, "ana").group(server.createGroup({ members: ["ana"] }));
  const told: unknown[] = [];
  group.on("message.posted", ({ data }) => told.push(data.data));
  await group.post("chat", "hello");
  await until("the listener is told", () => told.length > 0);
  assert.deepEqual(told, ["hello"]);
});

test("each event is told once and in order, over lost connections", async () => {
  const { server, id, group } = await live();
  const versions: number[] = [];
  let resets = 0;
  group.on("event", (event) => {
    versions.push(event.version);
    assert.equal(group.getSnapshot().version, event.version, "the snapshot has the event");
  });
  group.on("reset", () => resets++);
  const from = server.group(id).log.length;
  for (let n = 0; n < 60; n++) {
    server.post(id, "bo", "chat", n);
    if (n % 20 === 7) server.close([1006, 4002, 4001][n % 3]);
    if (n % 20 === 15) await until("it is online", () => group.getSnapshot().phase === "live");
  }
  await until("all have come", () => versions.length >= 60);
  assert.deepEqual(
    versions,
    Array.from({ length: 60 }, (_, n) => from + 1 + n),
  );
  assert.equal(resets, 0);
});

test("a truncated log resets the store", async () => {
  const { server, id, group } = await live();
  const told: string[] = [];
  group.on("reset", ({ version }) => told.push(`reset ${version}`));
  group.on("event", ({ version }) => told.push(`event ${version}`));
  server.refuse("down");
  server.close();
  await until("the store is old", () => group.getSnapshot().phase === "catching-up");
  server.join(id, "cy");
  server.trim(id);
  const head = server.group(id).log.length;
  server.refuse();
  await until("the group is live", () => group.getSnapshot().phase === "live");
  server.post(id, "bo", "chat", "after");
  await until("the next event has come", () => told.length > 1);
  assert.deepEqual(told, [`reset ${head}`, `event ${head + 1}`]);
  assert.ok(group.getSnapshot().members.has("cy"));
});

test("resync starts from a snapshot; other reasons close the store", async () => {
  const { server, id, group } = await live();
  let resets = 0;
  group.on("reset", () => resets++);
  server.push(id, "group:closed", { reason: "resync" });
  await until("it started again", () => resets === 1 && group.getSnapshot().phase === "live");
  const seen: unknown[] = [];
  group.on("member.removed", ({ data }) => seen.push(data.userId));
  server.leave(id, "ana", "removed");
  await until("it is closed", () => group.getSnapshot().phase === "closed");
  assert.equal(group.getSnapshot().why, "removed");
  assert.deepEqual(seen, ["ana"]);
  await group.call("join-group");
  await until("it is live again", () => group.getSnapshot().phase === "live");
  assert.equal(group.getSnapshot().me?.userId, "ana");
});

test("the record is what the server has after each change", async () => {
  const { server, id, group } = await live();
  const end = { endsAt: "2030-01-01T00:00:00Z", remindBefore: [60] };
  server.update(id, end);
  await until("it has an end", () => group.getSnapshot().group?.endsAt === end.endsAt);
  assert.deepEqual(group.getSnapshot().group?.remindBefore, [60]);
  server.event(id, "group.ended", {});
  await until("it has ended", () => group.getSnapshot().group?.endedAt !== undefined);
  server.event(id, "group.updated", { endsAt: null, endedAt: null, remindBefore: null, capacity: null });
  await until("it goes on", () => group.getSnapshot().group?.endedAt === undefined);
  const after = group.getSnapshot().group;
  assert.equal(after?.capacity, null);
  for (const field of ["endsAt", "endedAt", "remindBefore"])
    assert.ok(!(field in after), `${field} is absent, as in the server's record`);
});

test("what is left of erased users does not break the store", async () => {
  const { server, id, group } = await live();
  const { members } = group.getSnapshot();
  for (const type of ["member.joined", "member.updated", "member.left", "member.banned", "member.muted"])
    server.event(id, type, { userId: null });
  server.event(id, "owner.transferred", { from: null, to: "ana" });
  await until("all have come", () => group.getSnapshot().version === server.group(id).log.length);
  assert.deepEqual([...group.getSnapshot().members.keys()], [...members.keys()]);
  assert.equal(group.getSnapshot().me?.role, "owner");
});

test("events and fields of a later server do not break the store", async () => {
  const { server, id, group } = await live();
  const told: Event[] = [];
  group.on("event", (event) => told.push(event));
  group.on("poll.opened", (event) => told.push(event));
  server.event(id, "poll.opened", { poll: 1 });
  server.push(id, "group:novelty", { x: 1 });
  server.event(id, "member.promoted", { rank: 3 });
  server.event(id, "group.updated", { mood: "fine" });
  server.event(id, "message.posted", null);
  await until("all have come", () => told.length === 5);
  assert.equal(group.getSnapshot().phase, "live");
  assert.equal((group.getSnapshot().group as { mood?: string } | undefined)?.mood, "fine");
});

test("a listener that throws does not stop the others", async (t) => {
  const errors = t.mock.method(console, "error", () => {});
  const { server, id, group } = await live();
  const told: number[] = [];
  group.on("event", () => {
    throw new Error("mine");
  });
  group.on("event", ({ version }) => told.push(version));
  server.post(id, "bo", "chat", 1);
  server.post(id, "bo", "chat", 2);
  await until("both were told", () => told.length === 2);
  assert.equal(errors.mock.callCount(), 2);
});

test("members are those of the last event, whatever happens while they are loaded", async () => {
  const server = createFakeServer();
  const users = Array.from({ length: 450 }, (_, n) => `u${String(n).padStart(3, "0")}`);
  const id = server.createGroup({ ownerId: "ana", members: users });
  let pages = 0;
  server.handle("list-members", ({ args }) => {
    const { members, log } = server.group(id);
    const all = [...members.values()].map(({ readVersion: _, ...member }) => member);
    all.sort((a, b) => (a.userId < b.userId ? -1 : 1));
    const from = all.findIndex(({ userId }) => userId > (args["cursor"] ?? ""));
    const items = from < 0 ? [] : all.slice(from, from + 200);
    const answer = { items, version: log.length, nextCursor: items.length === 200 ? items.at(-1)?.userId : undefined };
    // After each page, members come and go on both sides of it.
    server.leave(id, `u${pages}00`);
    server.leave(id, `u4${pages}0`, "banned");
    server.join(id, `a${pages}`);
    server.join(id, `z${pages}`);
    const changed = { userId: "u150", role: "admin" as const, attributes: { pages }, joinedAt: "" };
    members.set("u150", { ...changed, readVersion: 0 });
    server.event(id, "member.updated", changed);
    server.event(id, "member.muted", { userId: "u399", expiresAt: "2030-01-01T00:00:00Z" });
    pages++;
    return answer;
  });
  const group = connect(server, "ana").group(id);
  await until("the group is live", () => group.getSnapshot().phase === "live");
  assert.ok(pages >= 3, `${pages} pages`);
  const { members, version, group: record } = group.getSnapshot();
  assert.equal(version, server.group(id).log.length);
  assert.deepEqual([...members.keys()].sort(), [...server.group(id).members.keys()].sort());
  assert.equal(record?.memberCount, members.size);
  assert.deepEqual(members.get("u150")?.attributes, { pages: pages - 1 });
  assert.equal(members.get("u399")?.mutedUntil, "2030-01-01T00:00:00Z");
});

test("members are loaded again after an import", async () => {
  const { server, id, group } = await live();
  const { members } = server.group(id);
  members.set("cy", { userId: "cy", role: "member", attributes: {}, joinedAt: "", readVersion: 0 });
  server.update(id, { memberCount: members.size });
  await until("cy is there", () => group.getSnapshot().members.has("cy"));
  assert.equal(group.getSnapshot().phase, "live");
});

test("a group with more members than maxMembers is not loaded whole", async () => {
  const server = createFakeServer();
  const id = server.createGroup({ members: Array.from({ length: 700 }, (_, n) => `u${n}`) });
  const group = connect(server, "u1", { maxMembers: 300 }).group(id);
  await until("the group is live", () => group.getSnapshot().phase === "live");
  assert.equal(group.getSnapshot().membersComplete, false);
  assert.ok(group.getSnapshot().members.size <= 400);
  server.join(id, "late");
  await until("the count goes on", () => group.getSnapshot().group?.memberCount === 702);
});

test("presence follows pushes, also of large groups", async () => {
  const { server, id, group } = await live();
  server.present(id, { userId: "bo", status: "online", state: { page: 1 } });
  await until("bo is online", () => group.getSnapshot().online === 2);
  assert.deepEqual(group.getSnapshot().present.get("bo"), { userId: "bo", status: "online", state: { page: 1 } });
  server.push(id, "group:presence", { items: [{ userId: "bo", status: "offline", at: "2020-01-01T00:00:00Z" }] });
  server.present(id, { userId: "stranger", status: "offline" });
  server.push(id, "group:presence", { online: 5000, items: [] });
  await until("the group is large", () => group.getSnapshot().online === 5000);
  assert.equal(group.getSnapshot().present.get("bo")?.status, "online", "an older item does not count");
  assert.equal(group.getSnapshot().present.has("stranger"), false);
  server.group(id).present.set("owner", { userId: "owner", status: "online" });
  server.present(id, { userId: "bo", status: "reconnecting" });
  await until("the list is read", () => group.getSnapshot().present.has("owner"));
  assert.equal(group.getSnapshot().online, 2);
  server.leave(id, "bo");
  await until("bo is gone", () => !group.getSnapshot().present.has("bo"));
});

test("the own state is set again after a reconnect, until it is cleared", async () => {
  const { server, group } = await live();
  const states = () => requests(server, "presence:set").map(({ data }) => (data as { state: unknown }).state);
  const state = { hand: true };
  await group.present(state);
  state.hand = false; // it is not set again
  server.close();
  await until("it is set again", () => states().length === 2);
  server.refuse("down");
  server.close();
  await until("the store is old", () => group.getSnapshot().phase === "catching-up");
  const cleared = group.present(null);
  server.refuse();
  await cleared;
  server.close();
  await until("the group is not live", () => group.getSnapshot().phase !== "live");
  await until("the group is live", () => group.getSnapshot().phase === "live");
  assert.deepEqual(states(), [{ hand: true }, { hand: true }, null]);
});

test("of many states, the last one is set", async () => {
  const { server, id, group } = await live();
  server.fail("presence:set", { code: "rate_limited", retryAfter: 0.01 });
  await Promise.all(Array.from({ length: 100 }, (_, n) => group.present({ n })));
  const sent = requests(server, "presence:set");
  assert.ok(sent.length < 10, `${sent.length} requests`);
  assert.deepEqual(sent.at(-1)?.data, { groupId: id, state: { n: 99 } });
  server.fail("presence:set", { code: "validation_failed" });
  await assert.rejects(group.present({ large: true }), { code: "validation_failed" });
});

test("signals reach others at most once, and are not kept", async () => {
  const { server, id, group } = await live();
  const other = connect(server, "bo").group(id);
  await until("bo is there", () => other.getSnapshot().phase === "live");
  const told: string[] = [];
  other.on("signal:typing", ({ from }) => told.push(from));
  other.on("signal", ({ type }) => told.push(type));
  await group.signal("typing", {});
  await group.signal("typing", {}, { to: ["owner"] });
  await group.signal("cursor", {}, { to: ["bo"] });
  await until("both were told", () => told.length === 3);
  assert.deepEqual(told, ["ana", "typing", "cursor"]);
  server.refuse("down");
  server.close();
  await until("the connection is lost", () => group.getSnapshot().phase === "catching-up");
  await assert.rejects(group.signal("typing"), { code: "offline" });
});

test("handles share a subscription, which ends a second after the last", async () => {
  const { server, id, moim, group } = await live();
  const second = moim.group(id);
  assert.equal(second.getSnapshot(), group.getSnapshot());
  group.close();
  group.close();
  second.close();
  const third = moim.group(id); // StrictMode mounts twice
  await new Promise((done) => setTimeout(done, 1_100));
  assert.equal(third.getSnapshot().phase, "live");
  assert.equal(requests(server, "group:subscribe").length, 1);
  assert.equal(requests(server, "group:unsubscribe").length, 0);
  third.close();
  await until("the subscription ended", () => requests(server, "group:unsubscribe").length === 1);
  assert.equal(server.sockets.size, 1, "the connection stays");
});

test("unread counts from the server's number", async () => {
  const server = createFakeServer();
  const id = server.createGroup({ members: ["ana", "bo"] });
  for (let n = 0; n < 3; n++) server.post(id, "bo", "chat", n);
  const moim = connect(server, "ana");
  const group = moim.group(id);
  const unread = () => group.getSnapshot().unread;
  await until("three are unread", () => unread() === 3);
  server.post(id, "bo", "chat", 3);
  await until("four are unread", () => unread() === 4);
  server.event(id, "message.deleted", { version: server.group(id).log.length }, "bo");
  await until("three are unread", () => unread() === 3);
  const snapshot: GroupSnapshot = group.getSnapshot();
  await group.read();
  assert.equal(unread(), 0);
  assert.equal(server.group(id).members.get("ana")?.readVersion, snapshot.version);
  server.post(id, "bo", "chat", 4);
  await until("one is unread", () => unread() === 1);
  await group.post("chat", "own");
  await until("none is unread", () => unread() === 0);
});
