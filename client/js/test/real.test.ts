// Tests against a real server: see scripts/test.mjs.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { backEnd, closeAll, connect, connectIO, token } from "./real.js";
import { until } from "./until.js";

const url = process.env["MOIM_URL"] ?? "";
const skip = url === "";
after(closeAll);
const backend = backEnd(url);

for (const [name, via] of [
  ["WebSocket", connect],
  ["Socket.IO", connectIO],
] as const) {
  test(`over ${name}: what two members see`, { skip }, async () => {
    const ana = via(url, "ana");
    const bo = via(url, "bo");
    const { id } = await ana.call("create-group", { name: "Tea", joinPolicy: "open", visibility: "public" });
    const anas = ana.group<unknown, { hand: boolean }>(id);
    const bos = bo.group(id);
    await until("bo is refused", () => bos.getSnapshot().why === "not_member");
    await bos.call("join-group");
    await until("both are live", () =>
      [anas, bos].every((group) => group.getSnapshot().phase === "live" && group.getSnapshot().online === 2),
    );
    const told: unknown[] = [];
    anas.on("message.posted", ({ data }) => told.push(data.data));
    anas.on("signal:typing", ({ from }) => told.push(from));
    await Promise.all([1, 2, 3].map((n) => bos.post("chat", n)));
    await bos.signal("typing");
    await until("all were told", () => told.length === 4);
    assert.deepEqual(told, [1, 2, 3, "bo"]);
    await bos.present({ hand: true });
    await until("the state is seen", () => anas.getSnapshot().present.get("bo")?.state?.hand);
    await until("three are unread", () => anas.getSnapshot().unread === 3);
    await anas.read();
    const [mine, bosMine] = [ana.mine(), bo.mine()];
    bosMine.subscribe(() => {});
    const hasTea = () => bosMine.getSnapshot().groups.some((own) => own.id === id);
    await until("bo's list has the group", hasTea);
    await until("the list has none unread", () => mine.getSnapshot().groups.find((own) => own.id === id)?.unread === 0);
    await anas.call("update-group", { name: "Coffee", capacity: 5, ifMatch: anas.getSnapshot().group?.revision ?? 0 });
    await anas.call("update-group", { endsAt: new Date(Date.now() + 3_600_000).toISOString(), remindBefore: [60] });
    await anas.call("update-group", { endsAt: null, remindBefore: [] });
    await anas.call("mute-user", { userId: "bo" });
    await until(
      "the group has changed",
      () => bos.getSnapshot().me?.muted && bos.getSnapshot().group?.name === "Coffee",
    );
    await assert.rejects(bos.post("chat", "no"), { code: "muted" });
    const { version, ...record } = await ana.call("get-group", { groupId: id });
    assert.deepEqual({ ...anas.getSnapshot().group, updatedAt: "" }, { ...record, updatedAt: "" });
    assert.equal(anas.getSnapshot().version, version);
    assert.ok(Math.abs(anas.getSnapshot().serverNow() - Date.now()) < 5_000);
    await anas.call("ban-user", { userId: "bo", reason: "over" });
    await until("bo is out", () => bos.getSnapshot().phase === "closed");
    assert.equal(bos.getSnapshot().why, "banned");
    const { id: other } = await ana.call("create-group", { name: "Milk" });
    await backend.call("add-members", { groupId: other, userIds: ["bo"] });
    // The server tells at once: bo does not follow this group, and the list is read every half a minute otherwise.
    await until(
      "bo's list has the other group",
      () => bosMine.getSnapshot().groups.some((own) => own.id === other),
      20_000,
    );
  });

  test(`over ${name}: a token that expires is replaced, a back end's end is final`, { skip }, async () => {
    const user = `cy-${name}`;
    const began = Date.now();
    let first = true;
    // The first token lasts for two seconds, and cannot be replaced before the server closes the connection.
    const late = () => {
      if (!first && Date.now() - began < 3_000) throw new Error("not yet");
      const seconds = first ? 2 : 3600;
      first = false;
      return token(user, seconds, { iat: Math.floor(began / 1000) - 1 });
    };
    const moim = via(url, user, { getToken: late });
    const { id } = await backend.call("create-group", { name: "Night", ownerId: user });
    let lost = false;
    moim.subscribe(() => {
      lost ||= moim.status !== "online";
    });
    const group = moim.group(id);
    const versions: number[] = [];
    group.on("event", ({ version }) => versions.push(version));
    await until("it is online", () => moim.status === "online");
    lost = false;
    await until("the connection is closed", () => lost);
    await until("the group is live", () => group.getSnapshot().phase === "live");
    await backend.call("post-message", { groupId: id, data: 1 });
    await until("the event was told", () => versions.length === 1 && group.getSnapshot().phase === "live");
    if (via === connectIO) return; // Socket.IO does not tell these from each other
    await backend.call("disconnect-user", { userId: user });
    await until("it is refused", () => moim.status === "refused");
    assert.equal(moim.getSnapshot().why, "disconnected");
    moim.connect();
    await until("it is online", () => moim.status === "online");
    await backend.call("revoke-tokens", { userId: user });
    await until("it is refused", () => moim.status === "refused");
    assert.equal(moim.getSnapshot().why, "revoked");
    moim.connect();
    await until("its new token is revoked, too", () => moim.getSnapshot().why === "unauthenticated");
  });
}

test("the generated files are those of this server", { skip }, async () => {
  const { generate, read } = (await import(new URL("../scripts/generate.mjs", import.meta.url).href)) as {
    generate(documents: unknown): Promise<Record<string, string>>;
    read(url: string): Promise<unknown>;
  };
  for (const [name, text] of Object.entries(await generate(await read(url)))) {
    const committed = await readFile(new URL(`../src/generated/${name}`, import.meta.url), "utf8");
    assert.ok(committed === text, `${name} is old: npm run generate -- URL`);
  }
});
