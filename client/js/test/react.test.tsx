import assert from "node:assert/strict";
import { after, afterEach, beforeEach, mock, test } from "node:test";
import { type ReactNode, StrictMode, Suspense, startTransition, useState } from "react";
import type { Client } from "../src/client.js";
import type { GroupHandle, GroupSnapshot, Moim, MoimOptions } from "../src/index.js";
import { MoimProvider, useGroup, useGroupEvent, useGroupHandle, useMine, useMoim, useStatus } from "../src/react.js";
import { createFakeServer, type FakeServer } from "../src/testing.js";
import { closePage, container } from "./dom.js";
import { connect, requests } from "./helpers.js";
import { until } from "./until.js";

// After ./dom.js: the bundle loads packages first.
const { createRoot, hydrateRoot } = await import("react-dom/client");
const { flushSync } = await import("react-dom");
const { renderToString } = await import("react-dom/server");

// React reports its warnings there, such as that of a snapshot that is not cached.
const errors = mock.method(console, "error", () => {});
const unmounts: (() => void)[] = [];
beforeEach(() => errors.mock.resetCalls());
afterEach(() => {
  for (const unmount of unmounts.splice(0)) unmount();
  assert.deepEqual(
    errors.mock.calls.map((call) => call.arguments),
    [],
  );
});
after(closePage);

/** start returns a client of a server, and counts its connections. */
function start(options: Partial<MoimOptions> = {}) {
  const server = createFakeServer();
  const id = server.createGroup({ name: "Tea", members: ["ana", "bo"] });
  const counts = { connections: 0, tokens: 0 };
  const moim = connect(server, "ana", {
    WebSocket: class extends server.WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        counts.connections++;
      }
    },
    getToken: () => {
      counts.tokens++;
      return server.token("ana");
    },
    ...options,
  });
  return { server, id, moim, counts };
}

/** mount renders below a provider. */
function mount(moim: Moim, node: ReactNode) {
  const element = container();
  const root = createRoot(element);
  const render = (child: ReactNode) => flushSync(() => root.render(<MoimProvider client={moim}>{child}</MoimProvider>));
  let mounted = true;
  const unmount = () => {
    if (mounted) flushSync(() => root.unmount());
    mounted = false;
  };
  unmounts.push(unmount);
  render(node);
  return { element, text: () => element.textContent ?? "", render, unmount };
}

const ended = (server: FakeServer) => requests(server, "group:unsubscribe").length;
const begun = (server: FakeServer) => requests(server, "group:subscribe").length;
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
/** settle waits until React and the client have nothing left to do. */
const settle = () => pause(60);

function Room({ id, seen }: { id: string; seen?: GroupSnapshot[] }) {
  const room = useGroup(id);
  seen?.push(room);
  return `${room.group?.name ?? ""} ${room.phase} ${room.members.size}`;
}

test("StrictMode's second mount keeps the first one's connection, and nothing flickers", async () => {
  const { server, id, moim, counts } = start();
  const seen: GroupSnapshot[] = [];
  const { text } = mount(
    moim,
    <StrictMode>
      <Room id={id} seen={seen} />
    </StrictMode>,
  );
  await until("the group is live", () => text() === "Tea live 3");
  await pause(1_100); // the first mount is released
  server.update(id, { name: "Coffee" });
  await until("the name is new", () => text() === "Coffee live 3");
  assert.deepEqual([counts.connections, begun(server), ended(server)], [1, 1, 0]);
  const phases = seen.map(({ phase }) => phase).filter((phase, n, all) => phase !== all[n - 1]);
  assert.deepEqual(phases, ["joining", "live"]);
});

test("components share a subscription, which ends a second after the last", async () => {
  const { server, id, moim } = start();
  const room = (count: number) => Array.from({ length: count }, (_, n) => <Room key={String(n)} id={id} />);
  const { text, render } = mount(moim, room(2));
  await until("both are live", () => text() === "Tea live 3Tea live 3");
  render(room(1));
  render(null);
  render(room(1));
  assert.equal(text(), "Tea live 3", "a short absence is not seen");
  await pause(1_100);
  server.join(id, "cy");
  await until("cy is seen", () => text() === "Tea live 4");
  assert.deepEqual([begun(server), ended(server)], [1, 0]);
  render(null);
  const from = performance.now();
  await until("it ended", () => ended(server) === 1);
  assert.ok(performance.now() - from > 900, `after ${performance.now() - from} ms`);
});

test("an inline selector renders only for what it takes", async () => {
  const { server, id, moim } = start();
  const renders = { name: 0, ids: 0, pair: 0, whole: 0 };
  const Name = () => {
    renders.name++;
    return useGroup(id, (room) => room.group?.name);
  };
  const Ids = () => {
    renders.ids++;
    return useGroup(id, (room) => [...room.members.keys()]).join();
  };
  const Pair = () => {
    renders.pair++;
    const { online, name } = useGroup(id, (room) => ({ online: room.online, name: room.group?.name }));
    return `${online}${name}`;
  };
  const Whole = () => {
    renders.whole++;
    return useGroup(id).version;
  };
  const { text } = mount(
    moim,
    <p>
      <Name /> <Ids /> <Pair /> <Whole />
    </p>,
  );
  await until("the group is live", () => text() === "Tea owner,ana,bo 1Tea 3");
  await settle();
  const before = { ...renders };
  for (let n = 0; n < 5; n++) server.post(id, "bo", "chat", n);
  await until("the messages are seen", () => text().endsWith(" 8"));
  assert.deepEqual({ ...renders, whole: 0 }, { ...before, whole: 0 }, "nothing that they take has changed");
  assert.ok(renders.whole > before.whole);
  server.update(id, { name: "Coffee" });
  await until("the name is new", () => text() === "Coffee owner,ana,bo 1Coffee 9");
  await settle();
  assert.deepEqual([renders.name, renders.ids, renders.pair], [before.name + 1, before.ids, before.pair + 1]);
});

test("a selector takes what the props of this render say", async () => {
  const { server, id, moim } = start();
  const seen: string[] = [];
  function Member({ userId }: { userId: string }) {
    const taken = useGroup(id, (room) => room.members.get(userId)?.role ?? "-");
    seen.push(`${userId} ${taken}`);
    return taken;
  }
  const { text, render } = mount(moim, <Member userId="owner" />);
  await until("the owner is there", () => text() === "owner");
  seen.length = 0;
  render(<Member userId="ana" />);
  assert.deepEqual([text(), seen], ["member", ["ana member"]]);
  server.leave(id, "bo");
  render(<Member userId="bo" />);
  await until("bo has left", () => text() === "-");
});

test("useMine lists the groups, and renders only for what it takes", async () => {
  const { server, id, moim } = start();
  let renders = 0;
  const Unread = () => {
    renders++;
    return useMine(({ groups }) => groups.map(({ name, unread }) => `${name} ${unread}`)).join();
  };
  const List = () => useMine().phase;
  const { text } = mount(
    moim,
    <p>
      <Unread /> <List />
    </p>,
  );
  await until("the list is there", () => text() === "Tea 0 live");
  await settle();
  const before = renders;
  moim.mine().refresh(); // new objects with the same fields
  await settle();
  assert.equal(renders, before);
  const room = moim.group(id);
  await until("the group is live", () => room.getSnapshot().unread === 0);
  server.post(id, "bo", "chat", 1);
  await until("one is unread", () => text() === "Tea 1 live");
  room.close();
});

test("useGroupEvent calls the handler of the last render, once for each event", async () => {
  const { server, id, moim } = start();
  const told: string[] = [];
  let again = () => {};
  function Watch({ name }: { name: "message.posted" | "member.joined" }) {
    const [round, setRound] = useState(0);
    again = () => flushSync(() => setRound(round + 1));
    useGroupEvent(id, name, (event) => told.push(`${round} ${event.type}`));
    return useGroup(id, (room) => room.phase);
  }
  const { text, render } = mount(moim, <Watch name="message.posted" />);
  await until("the group is live", () => text() === "live");
  server.post(id, "bo", "chat", 1);
  await until("the first is told", () => told.length === 1);
  again();
  server.post(id, "bo", "chat", 2);
  server.join(id, "cy");
  await until("the second is told", () => told.length === 2);
  render(<Watch name="member.joined" />);
  server.post(id, "bo", "chat", 3);
  server.join(id, "di");
  await until("the third is told", () => told.length === 3);
  assert.deepEqual(told, ["0 message.posted", "1 message.posted", "1 member.joined"]);
  assert.deepEqual([begun(server), ended(server)], [1, 0]);
});

test("a handler is that of what the page shows, at once", async () => {
  const { server, id, moim } = start();
  const seen: number[] = [];
  let next = () => {};
  function Watch() {
    const [round, setRound] = useState(1);
    next = () => startTransition(() => setRound(round + 1));
    useGroupEvent(id, "signal:which", () => seen.push(round));
    return `${round} ${useGroup(id, (room) => room.phase)}`;
  }
  const { element, text } = mount(moim, <Watch />);
  await until("the group is live", () => text() === "1 live");
  const shown = new Promise<string>((done) => {
    const observer = new MutationObserver(() => {
      observer.disconnect();
      (moim as Client).peek(id).push("group:signal", { groupId: id, from: "bo", type: "which", data: null });
      done(text());
    });
    observer.observe(element, { characterData: true, childList: true, subtree: true });
  });
  next();
  assert.equal(await shown, "2 live");
  assert.deepEqual(seen, [2]);
  assert.equal(begun(server), 1);
});

test("another id shows the other group alone, and lets the first go", async () => {
  const { server, id, moim } = start();
  const other = server.createGroup({ name: "Other", members: ["ana"] });
  const seen: string[] = [];
  function Named({ id }: { id: string }) {
    const name = useGroup(id, (room) => room.group?.name ?? "-");
    seen.push(`${id === other ? "other" : "first"} ${name}`);
    return name;
  }
  const { text, render } = mount(moim, <Named id={id} />);
  await until("the first is there", () => text() === "Tea");
  render(<Named id={other} />);
  await until("the other is there", () => text() === "Other");
  server.update(id, { name: "Nobody sees this" });
  await until("the first is let go", () => ended(server) === 1);
  assert.deepEqual(requests(server, "group:unsubscribe")[0]?.data, { groupId: id });
  assert.deepEqual(
    seen.filter((now, n) => now !== seen[n - 1]),
    ["first -", "first Tea", "other -", "other Other"],
  );
  let select = (_: string) => {};
  function Chosen() {
    const [chosen, choose] = useState(other);
    select = choose;
    return <Named id={chosen} />;
  }
  render(<Chosen />);
  startTransition(() => select(id));
  await until("the first is there again", () => text() === "Nobody sees this");
});

test("useGroupHandle gives the same handle to each render, and holds it", async () => {
  const { server, id, moim } = start();
  const handles = new Set<GroupHandle>();
  function Form() {
    const room = useGroupHandle(id);
    handles.add(room);
    return useStatus().status;
  }
  const { text, render } = mount(moim, <Form />);
  await until("it is online", () => text() === "online");
  const [room] = handles;
  await room?.post("chat", "hello");
  room?.close();
  assert.equal(server.group(id).log.at(-1)?.actor, "ana");
  await pause(1_100);
  assert.deepEqual([handles.size, begun(server), ended(server)], [1, 1, 0]);
  render(null);
  await until("it is let go", () => ended(server) === 1);
});

test("a component may go while its group is joined", async () => {
  const { server, id, moim, counts } = start();
  server.fail("group:subscribe", { code: "unavailable", retryAfter: 0.05 }, Number.POSITIVE_INFINITY);
  const { text, unmount } = mount(moim, <Room id={id} />);
  await until("it has asked twice", () => begun(server) >= 2);
  assert.equal(text(), " joining 0");
  unmount();
  await until("it is let go", () => ended(server) === 1);
  const asked = begun(server);
  await settle();
  await settle();
  assert.deepEqual([begun(server), counts.connections, server.sockets.size], [asked, 1, 1]);
});

test("a server renders without a connection, and a browser takes over its page", async () => {
  const { server, id, moim, counts } = start();
  function Page() {
    const phase = useGroup(id, (room) => [room.phase, room.members.size]).join();
    const mine = useMine(({ groups }) => groups.map(({ name }) => name)).join();
    useGroupEvent(id, "message.posted", () => {});
    useMoim();
    return (
      <p>
        <Room id={id} /> {phase} {useMine().phase} {mine} {useStatus().status}
      </p>
    );
  }
  const page = (
    <MoimProvider client={moim}>
      <Page />
    </MoimProvider>
  );
  const html = renderToString(page);
  await settle();
  assert.match(html, / joining 0.+joining,0.+loading.+connecting/);
  assert.deepEqual(counts, { connections: 0, tokens: 0 });
  const element = container(html);
  const first = element.firstChild;
  const mismatches: unknown[] = [];
  const root = hydrateRoot(element, page, { onRecoverableError: (err) => mismatches.push(err) });
  unmounts.push(() => root.unmount());
  await until("the page is live", () => element.textContent === "Tea live 3 live,3 live Tea online");
  assert.equal(element.firstChild, first, "it is the server's page");
  assert.deepEqual([mismatches, counts.connections, begun(server)], [[], 1, 1]);
});

test("rendering alone connects nothing", async () => {
  const { id, moim, counts } = start();
  const never = new Promise<never>(() => {});
  function Waits(): ReactNode {
    useGroup(id);
    useMine();
    throw never;
  }
  mount(
    moim,
    <Suspense fallback="…">
      <Waits />
    </Suspense>,
  );
  await settle();
  assert.deepEqual(counts, { connections: 0, tokens: 0 });
});

test("a client that is closed stays closed while components render, until one is mounted", async () => {
  const { server, id, moim, counts } = start();
  const page = (key: string) => (
    <p key={key}>
      <Room id={id} /> <Status />
    </p>
  );
  const Status = () => useStatus().why;
  const { text, render } = mount(moim, page("a"));
  await until("it is live", () => text() === "Tea live 3 ");
  moim.close();
  await until("it is closed", () => text().endsWith(" closed"));
  render(page("a"));
  await settle();
  assert.deepEqual([counts.connections, server.sockets.size], [1, 0]);
  render(page("b"));
  await until("it is live again", () => text() === "Tea live 3 ");
  await pause(1_100); // what the first component held is gone
  server.join(id, "cy");
  await until("it goes on", () => text() === "Tea live 4 ");
  assert.equal(counts.connections, 2);
});

test("without a provider, hooks say what is missing", () => {
  assert.throws(() => renderToString(<Room id="x" />), /there is no MoimProvider around this component/);
});
