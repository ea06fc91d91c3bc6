import assert from "node:assert/strict";
import { test } from "node:test";
import { createMoim, MoimError, type TokenReason } from "../src/index.js";
import { createFakeServer } from "../src/testing.js";
import { connect, requests } from "./helpers.js";
import { until } from "./until.js";

function start(userId = "ana") {
  const server = createFakeServer();
  const id = server.createGroup({ members: ["ana", "bo"] });
  const reasons: TokenReason[] = [];
  const options: { getToken: (reason: TokenReason) => string | null } = {
    getToken: (reason) => {
      reasons.push(reason);
      return server.token(userId);
    },
  };
  const moim = connect(server, userId, { getToken: (reason) => options.getToken(reason) });
  const group = moim.group(id);
  return { server, id, moim, group, reasons, options };
}

const online = (moim: { status: string }) => until("it is online", () => moim.status === "online");
const refused = async (moim: ReturnType<typeof start>["moim"], why: string) => {
  await until("it is refused", () => moim.status === "refused");
  assert.deepEqual(moim.getSnapshot(), { status: "refused", why });
};

test("a client connects when it is used", async () => {
  const server = createFakeServer();
  const moim = connect(server, "ana");
  assert.equal(moim.status, "connecting");
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(server.sockets.size, 0);
  moim.group(server.createGroup({ members: ["ana"] }));
  moim.group(server.createGroup({ members: ["ana"] }));
  await online(moim);
  assert.equal(server.sockets.size, 1);
});

test("close codes say whether to come back", async () => {
  for (const [code, why] of [
    [4004, "disconnected"],
    [4005, "rate_limited"],
    [4006, "revoked"],
  ] as const) {
    const { server, moim, reasons } = start();
    await online(moim);
    server.close(code);
    await refused(moim, why);
    moim.connect();
    await online(moim);
    assert.equal(reasons.at(-1), code === 4006 ? "refused" : "connect");
  }
  const { server, moim, reasons } = start();
  await online(moim);
  server.close(4003);
  await until("a new token was asked for", () => reasons.includes("expiring"));
  await online(moim);
});

test("refused tokens are asked for again once", async () => {
  const { server, moim, reasons } = start();
  server.refuse("token");
  await refused(moim, "unauthenticated");
  assert.deepEqual(reasons, ["connect", "refused"]);
});

test("without a token, or without a server", async () => {
  const { server, moim, options } = start();
  await online(moim);
  server.refuse("down");
  server.close();
  await until("it is offline", () => moim.status === "offline");
  assert.equal(moim.getSnapshot().why, "network");
  options.getToken = () => {
    throw new Error("the application is down");
  };
  await until("the token is missing", () => moim.getSnapshot().why === "token");
  options.getToken = () => null;
  await refused(moim, "no_token");
});

test("a token is replaced before it expires", async () => {
  const { server, id, moim, reasons } = start();
  await online(moim);
  await until("it is subscribed", () => requests(server, "group:subscribe").length === 1);
  server.push(id, "token:expiring", { expiresAt: new Date().toISOString() });
  await until("the new token was sent", () => requests(server, "auth").length === 1);
  assert.deepEqual(reasons, ["connect", "expiring"]);
  assert.equal(requests(server, "group:subscribe").length, 1);
});

test("posts are kept over lost connections, in order and once", async () => {
  const { server, id, moim, group } = start();
  server.refuse("down");
  const posts = Array.from({ length: 30 }, (_, n) => group.post("chat", n));
  server.refuse();
  const events = await Promise.all(
    posts.map(async (post, n) => {
      const event = await post;
      if (n % 10 === 3) server.close();
      if (n % 10 === 6) server.fail("group:message", { code: "rate_limited", retryAfter: 0.01 });
      if (n % 10 === 8) server.fail("group:message", { code: "unavailable", retryAfter: 0.01 });
      return event;
    }),
  );
  const posted = server.group(id).log.filter(({ type }) => type === "message.posted");
  assert.deepEqual(
    posted.map(({ data }) => (data as { data: number }).data),
    posts.map((_, n) => n),
  );
  assert.deepEqual(
    events.map(({ version }) => version),
    posted.map(({ version }) => version),
  );
  server.fail("group:message", { code: "muted", message: "you are muted" });
  const [refusal, after] = await Promise.allSettled([group.post("chat", "refused"), group.post("chat", "after")]);
  assert.ok(refusal.status === "rejected" && refusal.reason instanceof MoimError && refusal.reason.code === "muted");
  assert.equal(after.status, "fulfilled");
  server.fail("group:message", { code: "refused", reason: "over_quota", message: "that is enough" });
  await assert.rejects(group.post("chat", "x"), { code: "refused", reason: "over_quota", message: "that is enough" });
  server.freeze();
  const lost = group.post("chat", "lost");
  moim.close();
  await assert.rejects(lost, { code: "closed" });
});

test("a post has the data that the program gave, whatever it changes afterwards", async () => {
  const { server, group } = start();
  const sent = () => requests(server, "group:message").map(({ data }) => (data as { data: unknown }).data);
  server.refuse("down");
  const board = { moves: ["e4"] };
  const posted = [group.post("move", board)];
  board.moves.push("e5");
  posted.push(group.post("move", board), group.post("none", undefined));
  board.moves.length = 0;
  server.refuse();
  await Promise.all(posted);
  assert.deepEqual(sent(), [{ moves: ["e4"] }, { moves: ["e4", "e5"] }, undefined]);
});

test("another user sees nothing of the first, and posts nothing of theirs", async () => {
  const { server, id, moim, group, options } = start();
  await until("it is live", () => group.getSnapshot().phase === "live");
  server.refuse("down");
  server.close();
  await until("it is offline", () => moim.status === "offline");
  const kept = group.post("chat", "ana's");
  const secret = server.createGroup({ members: ["ana"] });
  const other = moim.group(secret);
  options.getToken = () => server.token("bo");
  server.refuse();
  await assert.rejects(kept, { code: "closed" });
  await until(
    "bo's group is live",
    () => group.getSnapshot().phase === "live" && group.getSnapshot().me?.userId === "bo",
  );
  await until("the other is closed", () => other.getSnapshot().phase === "closed");
  assert.equal(moim.userId, "bo");
  assert.equal(server.group(id).log.filter(({ type }) => type === "message.posted").length, 0);
});

test("another user's groups are listed, also if the first one's are on their way", async () => {
  const server = createFakeServer();
  server.createGroup({ name: "Ana's", ownerId: "ana" });
  server.createGroup({ name: "Bo's", ownerId: "bo" });
  let user = "ana";
  let asked = 0;
  let answer = () => {};
  const moim = connect(server, user, {
    getToken: () => server.token(user),
    fetch: async (url, init) => {
      if (++asked === 1) await new Promise<void>((done) => (answer = done));
      return server.fetch(url, init);
    },
  });
  const mine = moim.mine();
  mine.subscribe(() => {});
  await until("ana's list is asked for", () => asked === 1);
  user = "bo";
  server.close();
  await until("bo is online", () => moim.status === "online" && moim.userId === "bo");
  await new Promise((done) => setTimeout(done, 40)); // bo's list is wanted
  assert.equal(asked, 1);
  answer();
  await until("bo's list is there", () => mine.getSnapshot().phase === "live");
  assert.deepEqual(
    mine.getSnapshot().groups.map(({ name }) => name),
    ["Bo's"],
  );
});

test("a connection that is dead is replaced", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const run = async (ms: number) => {
    for (let at = 0; at < ms; at += 1_000) {
      t.mock.timers.tick(1_000);
      for (let n = 0; n < 20; n++) await new Promise((done) => setImmediate(done));
    }
  };
  const { server, moim, group } = start();
  await run(1_000);
  assert.equal(moim.status, "online");
  const connects = () => requests(server, "group:subscribe").length;
  await run(60_000);
  assert.equal(connects(), 1, "silence alone is no reason");
  server.freeze();
  await run(45_000);
  assert.notEqual(moim.status, "online", "silence is noticed");
  server.thaw();
  await run(60_000);
  assert.equal(moim.status, "online");
  server.freeze();
  const post = group.post("chat", 1); // a request without an answer
  await run(23_000);
  assert.notEqual(moim.status, "online");
  server.thaw();
  await run(60_000);
  await post;
  server.freeze();
  t.mock.timers.tick(100_000); // the laptop slept
  await run(8_000);
  assert.notEqual(moim.status, "online", "a dead connection is noticed soon after a sleep");
  server.thaw();
  await run(60_000);
  assert.equal(group.getSnapshot().phase, "live");
  moim.close();
});

test("calls repeat what may be repeated, and tell errors", async () => {
  const { server, id, moim, group } = start();
  const keys: unknown[] = [];
  let fails = 2;
  const { fetch } = server;
  const again = connect(server, "ana", {
    fetch: (url, init) => {
      keys.push(init.headers["Idempotency-Key"]);
      assert.equal(init.redirect, "error");
      return fails-- > 0 ? Promise.reject(new TypeError("no network")) : fetch(url, init);
    },
  });
  const event = await again.call("post-message", { groupId: id, data: "x" });
  assert.equal(event.type, "message.posted");
  assert.equal(new Set(keys).size, 1);
  fails = 2;
  await assert.rejects(again.call("ban-user", { groupId: id, userId: "bo" }), { code: "network", status: 0 });
  await assert.rejects(moim.call("get-group", { groupId: "no/such" }), {
    name: "MoimError",
    code: "not_found",
    status: 404,
  });
  const asked = keys.length;
  for (const groupId of ["", ".", ".."]) await assert.rejects(again.call("get-group", { groupId }), /cannot be/);
  assert.equal(keys.length, asked);
  await group.call("ban-user", { userId: "bo", reason: "spam" });
  assert.equal(server.group(id).members.has("bo"), false);
});

test("in Node.js 20, a WebSocket class is needed", { skip: "WebSocket" in globalThis }, () => {
  assert.throws(() => createMoim({ url: "http://127.0.0.1", getToken: () => "" }), /package ws/);
});
