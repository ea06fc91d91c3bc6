import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { createMoim, type SocketIOLike } from "../src/index.js";
import { SocketIODriver, tokensOf, urlOf } from "../src/socketio.js";
import { createFakeServer } from "../src/testing.js";
import { Tokens } from "../src/tokens.js";
import { until } from "./until.js";

const nothing = { up() {}, down() {}, status() {}, push() {}, heard() {} };

/** fakeSocket counts the calls of connect. */
function fakeSocket(active: boolean) {
  let connects = 0;
  const socket: SocketIOLike = {
    connected: false,
    active,
    on() {},
    off() {},
    onAny() {},
    offAny() {},
    emit() {},
    connect: () => connects++,
    disconnect() {},
  };
  return { socket, connects: () => connects };
}

test("a socket that is connecting is not connected a second time", () => {
  const server = createFakeServer();
  for (const active of [true, false]) {
    const { socket, connects } = fakeSocket(active);
    const moim = createMoim({ ...server.options("ana"), socket });
    moim.group(server.createGroup({ members: ["ana"] }));
    assert.equal(connects(), active ? 0 : 1);
    moim.close();
  }
});

test("a wake ends the wait before the next attempt", async () => {
  const socket = io("http://127.0.0.1:1", { reconnectionDelay: 3_600_000, reconnectionDelayMax: 3_600_000 });
  let failed = 0;
  socket.on("connect_error", () => failed++);
  const driver = new SocketIODriver(socket, new Tokens(undefined, Date.now, "ana"));
  driver.start(nothing);
  await until("an attempt has failed", () => failed === 1);
  driver.hurry();
  await until("another attempt has failed", () => failed === 2);
  driver.stop();
  socket.disconnect();
});

test("a socket tells the URL", () => {
  const to = (url: string, path?: string) => urlOf(io(url, { autoConnect: false, ...(path ? { path } : {}) }));
  assert.equal(to("https://moim.example"), "https://moim.example");
  assert.equal(to("wss://moim.example:8443/?a=b"), "https://moim.example:8443");
  assert.equal(to("http://127.0.0.1:8080", "/rt/socket.io/"), "http://127.0.0.1:8080/rt");
  assert.equal(urlOf(fakeSocket(true).socket), undefined);
  assert.throws(() => createMoim({ socket: fakeSocket(true).socket }), /there is no url/);
});

test("a socket gives its tokens, and no refused one again", async () => {
  const { socket } = fakeSocket(true);
  const get = tokensOf(socket);
  assert.equal(await get("connect"), null);
  socket.auth = { token: "one" };
  assert.equal(await get("connect"), "one");
  assert.equal(await get("refused"), null);
  socket.auth = (send: (data: object) => void) => send({ token: "two" });
  assert.equal(await get("refused"), "two");
});
