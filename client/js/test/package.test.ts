// The package as it is installed: what npm run build made, packed, in a folder of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { createContext, runInContext } from "node:vm";
import { createFakeServer } from "../src/testing.js";
import { until } from "./until.js";

const here = process.cwd(); // client/js
const run = (cwd: string, program: string, ...args: string[]) =>
  promisify(execFile)(program, args, { cwd }).catch((err: { stdout: string; stderr: string }) => {
    throw new Error(`${program} ${args.join(" ")}:\n${err.stdout}${err.stderr}`);
  });

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "moim-package-"));
  await run(here, "npm", "pack", "--silent", "--pack-destination", folder);
  const [archive = ""] = await readdir(folder);
  await writeFile(join(folder, "package.json"), "{}");
  await run(folder, "npm", "install", "--offline", "--no-audit", "--no-fund", `./${archive}`);
  // What an application has besides.
  await mkdir(join(folder, "node_modules/@types"));
  for (const name of ["react", "@types/react"])
    await symlink(join(here, "node_modules", name), join(folder, "node_modules", name));
});
after(() => rm(folder, { recursive: true, force: true }));

const use = `
const server = createFakeServer();
const id = server.createGroup({ members: ["ana"] });
const moim = createMoim(server.options("ana"));
const room = moim.group(id);
room.subscribe(async () => {
  if (room.getSnapshot().phase !== "live") return;
  const refused = await moim.call("get-group", { groupId: "none" }).catch((err) => err);
  console.log(room.getSnapshot().me.userId, refused instanceof MoimError, typeof useGroup);
  process.exit();
});
`;

test("import and require give the same", async () => {
  const entries = ["moim-client", "moim-client/react", "moim-client/testing"];
  await writeFile(
    join(folder, "program.mjs"),
    `import { createMoim, MoimError } from "moim-client"; import { useGroup } from "moim-client/react";
     import { createFakeServer } from "moim-client/testing"; import { createRequire } from "node:module"; ${use}
     for (const name of ${JSON.stringify(entries)})
       console.log(Object.keys(await import(name)).filter((key) => !/default|module.exports/.test(key)).join(),
         Object.keys(createRequire(import.meta.url)(name)).sort().join());`,
  );
  await writeFile(
    join(folder, "program.cjs"),
    `const { createMoim, MoimError } = require("moim-client"); const { useGroup } = require("moim-client/react");
     const { createFakeServer } = require("moim-client/testing"); ${use}`,
  );
  const [{ stdout: imported }, { stdout: required }] = await Promise.all([
    run(folder, process.execPath, "program.mjs"),
    run(folder, process.execPath, "program.cjs"),
  ]);
  const lines = imported.trim().split("\n").sort();
  assert.deepEqual(required, "ana true function\n");
  assert.ok(lines.includes("ana true function"), imported);
  for (const line of lines.filter((line) => !line.startsWith("ana "))) {
    const [names, same] = line.split(" ");
    assert.equal(names, same);
  }
  assert.equal(lines.length, 1 + entries.length);
});

const typed = `
import { createMoim, type GroupSnapshot, MoimError } from "moim-client";
import { useGroup } from "moim-client/react";
import { createFakeServer, type FakeServer } from "moim-client/testing";

const server: FakeServer = createFakeServer();
const moim = createMoim(server.options("ana"));
const room = moim.group<{ color: string }>("id");
export const snapshot: GroupSnapshot<{ color: string }> = room.getSnapshot();
export const name: string | undefined = snapshot.group?.attributes.color;
room.on("message.posted", ({ data }) => data.type.length);
room.on("member.joined", ({ data }) => data.userId !== null && data.role.length);
// @ts-expect-error: the user may be erased
room.on("member.left", ({ data }) => data.userId.length);
export const answer: Promise<string> = moim.call("create-group", { name: "Tea" }).then(({ id }) => id);
export const phase = (): string => useGroup("id", (group) => group.phase);
export const is = (err: unknown) => err instanceof MoimError && err.code;
// @ts-expect-error: there is no such call
void moim.call("no-such-call");
`;

test("types are found by each resolution, and need no DOM", async () => {
  const options = { strict: true, noEmit: true, target: "es2022", lib: ["es2022"], types: [], skipLibCheck: false };
  const projects = {
    // A Nest application's, until it changes it.
    node10: {
      compilerOptions: { ...options, module: "commonjs", moduleResolution: "node10" },
      files: ["types.ts"],
    },
    node16: { compilerOptions: { ...options, module: "node16" }, files: ["types.mts", "types.cts"] },
    bundler: {
      compilerOptions: { ...options, module: "esnext", moduleResolution: "bundler", exactOptionalPropertyTypes: true },
      files: ["types.ts"],
    },
  };
  for (const ending of ["ts", "mts", "cts"]) await writeFile(join(folder, `types.${ending}`), typed);
  await Promise.all(
    Object.entries(projects).map(async ([name, project]) => {
      await writeFile(join(folder, `${name}.json`), JSON.stringify(project));
      await run(folder, process.execPath, join(here, "node_modules/typescript/bin/tsc"), "-p", `${name}.json`);
    }),
  );
});

// What the program around a block of the guide has.
const around = `
declare const moim: import("moim-client").Moim;
declare const room: import("moim-client").GroupHandle;
declare const groupId: string;
declare const root: { render(page: unknown): void };
declare const getToken: import("moim-client").GetToken;
declare function append(data: unknown): void;
declare function showTyping(userId: string): void;
declare function clear(): void;
declare function toast(text: string): void;
`;

test("the code of the guide has the right types, and its fake server runs", async () => {
  const guide = await readFile(join(here, "../../docs/client-js.md"), "utf8");
  const blocks = [...guide.matchAll(/^```(tsx?)\n(.*?)^```/gms)].map(([, kind = "", code = ""]) => ({ kind, code }));
  assert.ok(blocks.length >= 7, `the guide has ${blocks.length} blocks`);
  const files = ["around.d.ts"];
  await writeFile(join(folder, "around.d.ts"), around);
  for (const [i, { kind, code }] of blocks.entries()) {
    const name = `guide${i}.${kind}`;
    files.push(name);
    await writeFile(join(folder, name), `${code}\nexport {};\n`);
  }
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2022",
    lib: ["es2022", "dom"],
    types: [],
    module: "esnext",
    moduleResolution: "bundler",
    jsx: "react-jsx",
  };
  await writeFile(join(folder, "guide.json"), JSON.stringify({ compilerOptions, files }));
  await run(folder, process.execPath, join(here, "node_modules/typescript/bin/tsc"), "-p", "guide.json");
  const fake = blocks.find(({ code }) => code.includes("moim-client/testing"));
  await writeFile(join(folder, "guide.mjs"), `${fake?.code}\nprocess.exit();\n`);
  await run(folder, process.execPath, "guide.mjs");
});

test("it runs where there is neither a page nor a process, as in React Native", async () => {
  const server = createFakeServer();
  const id = server.createGroup({ members: ["ana"] });
  const { WebSocket, fetch } = server;
  // Hermes has these of the web.
  const globals = { WebSocket, fetch, AbortController, setTimeout, clearTimeout, console, atob };
  const context = createContext({ ...globals, module: { exports: {} } });
  runInContext(await readFile(join(folder, "node_modules/moim-client/dist/cjs/index.js"), "utf8"), context);
  const { createMoim } = (context["module"] as { exports: typeof import("../src/index.js") }).exports;
  const moim = createMoim({ url: server.url, getToken: () => server.token("ana") });
  const room = moim.group(id);
  await until("the group is live", () => room.getSnapshot().phase === "live");
  assert.equal((await room.post("chat", "hello")).actor, "ana");
  server.close();
  await until("it notices", () => room.getSnapshot().phase === "catching-up");
  await until("it is live again", () => room.getSnapshot().phase === "live");
  moim.close();
});
