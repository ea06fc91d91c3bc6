// Runs the tests, after npm run build. With MOIM_URL and MOIM_SECRET, also those that need a server. The end-to-end
// tests of the repository set them.
import { spawnSync } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { build } from "esbuild";

process.chdir(new URL("..", import.meta.url).pathname);
const wanted = process.argv[2] ?? "";
const tests = (await readdir("test")).filter((name) => /\.test\.tsx?$/.test(name) && name.includes(wanted));
await rm("build", { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: "build",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  jsx: "automatic",
  sourcemap: "inline",
});
const files = tests.map((name) => `build/${name.replace(/\.tsx?$/, ".mjs")}`);
const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test-concurrency=4", "--test", ...files], {
  stdio: "inherit",
});
process.exitCode = status ?? 1;
