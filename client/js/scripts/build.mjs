// Builds dist: each entry as an ES module and as a CommonJS module, with its types.
import { execFileSync } from "node:child_process";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

process.chdir(new URL("..", import.meta.url).pathname);
const entries = ["index", "react", "testing"];
const entryPoints = entries.map((name) => `src/${name}.ts`);
const options = {
  entryPoints,
  bundle: true,
  target: "es2022",
  external: ["react"],
  platform: "neutral",
  legalComments: "none",
};

await rm("dist", { recursive: true, force: true });
execFileSync(process.execPath, [createRequire(import.meta.url).resolve("typescript/bin/tsc")], { stdio: "inherit" });
await mkdir("dist/cjs", { recursive: true });
await Promise.all([
  build({ ...options, format: "esm", outdir: "dist/esm" }),
  build({ ...options, format: "cjs", outdir: "dist/cjs" }),
  writeFile("dist/cjs/package.json", '{ "type": "commonjs" }\n'),
]);
for (const file of await readdir("dist/esm", { recursive: true })) {
  if (file.endsWith(".d.ts")) await cp(`dist/esm/${file}`, `dist/cjs/${file}`);
}

// The size that a page pays for the client.
const most = 12 * 1024;
const { outputFiles } = await build({
  ...options,
  entryPoints: ["src/index.ts"],
  format: "esm",
  minify: true,
  write: false,
});
const size = gzipSync(outputFiles[0].contents).length;
console.log(`moim-client: ${size} bytes, minified and gzipped`);
if (size > most) throw new Error(`moim-client has ${size} bytes, minified and gzipped; at most ${most} are allowed`);
