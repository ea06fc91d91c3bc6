import assert from "node:assert/strict";
import { test } from "node:test";
import { live } from "./helpers.js";
import { until } from "./until.js";

test("mine lists the user's groups, and follows what their stores know", async () => {
  const { server, id, moim, group } = await live();
  const other = server.createGroup({ name: "Other", ownerId: "ana" });
  const mine = moim.mine();
  const row = (groupId: string) => mine.getSnapshot().groups.find((own) => own.id === groupId);
  const off = mine.subscribe(() => {});
  await until("both are listed", () => row(id) && row(other));
  assert.equal(row(other)?.role, "owner");
  server.post(id, "bo", "chat", 1);
  await until("one is unread", () => row(id)?.unread === 1);
  await moim.call("join-group", { groupId: server.createGroup({ name: "Third" }) });
  await until("three are listed", () => mine.getSnapshot().groups.length === 3);
  await group.call("leave-group");
  await until("two are listed", () => mine.getSnapshot().groups.length === 2);
  const fourth = server.createGroup({ name: "Fourth", members: ["ana"] });
  await until("the fourth is listed", () => row(fourth)?.role === "member");
  off();
});

test("the list follows memberships after a reconnect, and with a server that does not tell of them", async () => {
  const { server, moim } = await live();
  const mine = moim.mine();
  const off = mine.subscribe(() => {});
  await until("one is listed", () => mine.getSnapshot().groups.length === 1);
  server.close();
  await until("it is offline", () => mine.getSnapshot().phase === "catching-up");
  await until("it is live again", () => mine.getSnapshot().phase === "live");
  server.createGroup({ name: "Second", members: ["ana"] });
  await until("two are listed", () => mine.getSnapshot().groups.length === 2);
  server.fail("group:mine", { code: "unknown_event", message: "there is no event of this name" });
  server.close();
  server.createGroup({ name: "Third", members: ["ana"] });
  await until("three are listed", () => mine.getSnapshot().groups.length === 3);
  off();
});

test("a group that ends for the user leaves the list at once", async () => {
  const { server, id, moim } = await live();
  const mine = moim.mine();
  const off = mine.subscribe(() => {});
  await until("it is listed", () => mine.getSnapshot().groups.length === 1);
  server.handle("my-groups", () => {
    throw new Error("the list is not read");
  });
  server.leave(id, "ana", "removed");
  await until("it is gone", () => mine.getSnapshot().groups.length === 0);
  off();
});

test("the list is read again when the page becomes visible", async () => {
  let wake = () => {};
  const document = {
    visibilityState: "hidden",
    addEventListener: (_: string, fn: () => void) => {
      wake = fn;
    },
    removeEventListener: () => {},
  };
  let polls = 0;
  const { setTimeout } = globalThis;
  const soon = (fn: () => void, ms: number) => {
    const poll = () => {
      polls++;
      fn();
    };
    return ms === 30_000 ? setTimeout(poll, 10) : setTimeout(fn, ms);
  };
  Object.assign(globalThis, { document, setTimeout: soon });
  try {
    const { server, moim } = await live();
    server.fail("group:mine", { code: "unknown_event", message: "there is no event of this name" });
    const mine = moim.mine();
    const off = mine.subscribe(() => {});
    await until("one is listed", () => mine.getSnapshot().groups.length === 1);
    await until("the list was to be read while the page was hidden", () => polls > 0);
    server.createGroup({ name: "Other", ownerId: "ana" });
    document.visibilityState = "visible";
    wake();
    await until("both are listed", () => mine.getSnapshot().groups.length === 2);
    off();
  } finally {
    Object.assign(globalThis, { setTimeout });
    Reflect.deleteProperty(globalThis, "document");
  }
});
