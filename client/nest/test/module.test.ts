import "reflect-metadata";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { GoneException, Injectable, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import {
  type Event,
  MoimClient,
  MoimError,
  MoimModule,
  OnGroup,
  type PresenceChange,
  type PresenceDelivery,
} from "../src/index.js";
import { keyOf, verify } from "../src/signature.js";

const secret = process.env["MOIM_SECRET"] ?? "a secret of at least thirty-two bytes";
const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

test("the published vector of Standard Webhooks verifies, until five minutes later", () => {
  const headers = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };
  const body = Buffer.from('{"test": 2432232314}');
  assert.equal(verify(keyOf(hookSecret), headers, body, 1614265330), undefined);
  assert.match(verify(keyOf(hookSecret), headers, Buffer.from("{}"), 1614265330) ?? "", /signature/);
  assert.match(verify(keyOf(hookSecret), headers, body, 1614265330 + 301) ?? "", /timestamp/);
});

test("a client without a secret says what to set", () => {
  for (const given of ["short", undefined as unknown as string]) {
    assert.throws(
      () => new MoimClient({ url: "http://127.0.0.1:1", secret: given }),
      /secret must have .* auth\.secret/,
    );
  }
});

@Injectable()
class Listener {
  static seen: string[] = [];
  static fail = false;

  @OnGroup("member.*")
  async member(event: Event) {
    if (Listener.fail) throw new GoneException();
    await new Promise(setImmediate);
    Listener.seen.push(`${event.type} ${event.version}`);
  }

  @OnGroup("*")
  all(event: Event) {
    Listener.seen.push(`* ${event.version}`);
  }

  @OnGroup("presence.*")
  presence(change: PresenceChange, delivery: PresenceDelivery) {
    Listener.seen.push(`${change.type} ${change.userId} ${change.n} in ${delivery.groupId}`);
  }
}

async function start(adapter: ExpressAdapter | FastifyAdapter, url = "http://127.0.0.1:1") {
  @Module({ imports: [MoimModule.register({ url, secret, hookSecret })], providers: [Listener] })
  class App {}
  Listener.seen = [];
  const app = await NestFactory.create(App, adapter, { rawBody: true, logger: false });
  await app.listen(0, "127.0.0.1");
  return { app, url: `${(await app.getUrl()).replace("[::1]", "127.0.0.1")}/moim/hook`, moim: app.get(MoimClient) };
}

function deliver(url: string, id: string, types: string[]) {
  return send(
    url,
    id,
    types.map((type, i) => ({ groupId: "g", version: i + 1, type, actor: null, data: {}, at: "" })),
  );
}

function send(url: string, id: string, events: object[]) {
  const at = Math.floor(Date.now() / 1000);
  const body = JSON.stringify({ hook: "h", groupId: "g", events });
  const signature = createHmac("sha256", keyOf(hookSecret)).update(`${id}.${at}.${body}`).digest("base64");
  const headers = { "webhook-id": id, "webhook-timestamp": `${at}`, "webhook-signature": `v1,${signature}` };
  return fetch(url, { method: "POST", body, headers: { ...headers, "Content-Type": "application/json" } });
}

for (const Adapter of [ExpressAdapter, FastifyAdapter]) {
  test(`${Adapter.name}: events arrive in order, once, and again after a failure`, async () => {
    const { app, url } = await start(new Adapter());
    try {
      Listener.fail = true;
      assert.equal((await deliver(url, "g_1", ["member.joined"])).status, 500);
      Listener.fail = false;
      const types = ["member.joined", "group.updated", "member.left"];
      const answers = await Promise.all([deliver(url, "g_1", types), deliver(url, "g_1", types)]);
      assert.deepEqual(
        answers.map((a) => a.status),
        [204, 204],
      );
      assert.deepEqual(Listener.seen, ["member.joined 1", "* 1", "* 2", "member.left 3", "* 3"]);
      // A replay joins events that came one by one.
      Listener.seen = [];
      assert.equal((await deliver(url, "g_1", [...types, "group.deleted"])).status, 204);
      assert.equal(Listener.seen.at(-1), "* 4");
      Listener.seen = [];
      const change: PresenceChange = { type: "presence.online", groupId: "g", userId: "bo", at: "", n: 7 };
      assert.equal((await send(url, "g_p7", [change])).status, 204);
      assert.deepEqual(Listener.seen, ["presence.online bo 7 in g"]);
      const forged = { "webhook-id": "x", "webhook-timestamp": `${Math.floor(Date.now() / 1000)}` };
      assert.equal((await fetch(url, { method: "POST", headers: forged })).status >= 400, true);
      const json = { ...forged, "webhook-signature": "v1,AAAA", "Content-Type": "application/json" };
      assert.equal((await fetch(url, { method: "POST", headers: json, body: "{}" })).status, 401);
    } finally {
      await app.close();
    }
  });
}

test("a POST is repeated with its key, and a refusal is a MoimError", async () => {
  const keys: unknown[] = [];
  const server = createServer((req, res) => {
    keys.push(req.headers["idempotency-key"]);
    if (keys.length === 1) req.socket.destroy();
    else if (keys.length === 2) res.writeHead(503).end();
    else
      res
        .writeHead(422)
        .end('{"code":"invalid","reason":"why","detail":"no","errors":[{"field":"name","message":"is long"}]}');
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  try {
    const moim = new MoimClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, secret });
    await assert.rejects(moim.call("create-group", { name: "x" } as never), (err) => {
      assert.ok(err instanceof MoimError);
      assert.deepEqual([err.code, err.reason, err.status, err.errors[0]?.field], ["invalid", "why", 422, "name"]);
      return true;
    });
    assert.equal(keys.length, 3);
    assert.ok(keys[0] && keys[0] === keys[1] && keys[1] === keys[2]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("redirects are not followed, and no id is a step in the path", async () => {
  const paths: unknown[] = [];
  const server = createServer((req, res) => {
    paths.push(req.url);
    res.writeHead(307, { Location: "/elsewhere" }).end();
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  try {
    const moim = new MoimClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, secret });
    for (const userId of ["", ".", ".."]) await assert.rejects(moim.call("list-user-groups", { userId }), /cannot be/);
    assert.equal(paths.join(), "");
    await assert.rejects(moim.call("list-user-groups", { userId: "ana" }), { code: "network" });
    assert.ok(!paths.includes("/elsewhere"));
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

const node = process.env["MOIM_URL"];
test("a node sends what happens to a method", { skip: !node }, async () => {
  const { app, url, moim } = await start(new ExpressAdapter(), node);
  try {
    await moim.call("create-hook", { name: "nest", url, events: ["member.*"], secret: hookSecret });
    const group = await moim.call("create-group", { name: "room", ownerId: "ann" });
    assert.ok(group.id);
    await moim.call("add-members", { groupId: group.id, userIds: ["bo"] } as never);
    const deadline = Date.now() + 60_000;
    while (!Listener.seen.some((s) => s.startsWith("member.joined"))) {
      assert.ok(Date.now() < deadline, `the event did not arrive: ${Listener.seen}`);
      await new Promise((done) => setTimeout(done, 20));
    }
    const mine = await fetch(`${node}/v1/me/groups`, {
      headers: { Authorization: `Bearer ${moim.sign("bo", { name: "Bo", ttl: 60 })}` },
    });
    assert.equal(mine.status, 200);
  } finally {
    await app.close();
  }
});
