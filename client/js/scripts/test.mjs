// Runs the tests, after npm run build. With MOIM_URL and MOIM_SECRET, also those that need a server. The end-to-end
// tests of the repository set them.
import { spawnSync } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { build } from "esbuild";

process.chdir(new URL("..", import.meta.url).pathname);
const wanted = process.argv[2] ?? "";
const tests = (await readdir("test")).filter((name) => /\.test\.tsx?$/.test(name) && name.includes(wanted));
await rm("build", { recursive: true, force: true });
const options = {
  outdir: "build",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  jsx: "automatic",
  sourcemap: "inline",
};
await build({ ...options, entryPoints: tests.map((name) => `test/${name}`), packages: "external" });
const files = tests.map((name) => `build/${name.replace(/\.tsx?$/, ".mjs")}`);

// The tests with React again, with the oldest version that peerDependencies allows. It is bundled, so that no part of
// the newest one is beside it.
const hooks = tests.filter((name) => name.endsWith(".tsx"));
await build({
  ...options,
  entryPoints: hooks.map((name) => ({ in: `test/${name}`, out: name.replace(/\.tsx$/, "18") })),
  external: ["happy-dom"],
  alias: Object.fromEntries(["react", "react-dom"].map((name) => [name, `./test/react18/node_modules/${name}`])),
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
});
files.push(...hooks.map((name) => `build/${name.replace(/\.tsx$/, "18.mjs")}`));
const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test-concurrency=4", "--test", ...files], {
  stdio: "inherit",
});
process.exitCode = status ?? 1;
