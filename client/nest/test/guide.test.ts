// The code of docs/client-nest.md has the right types.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

// What the program around the blocks has.
const around = `
declare const Injectable: typeof import("@nestjs/common").Injectable;
declare const Post: typeof import("@nestjs/common").Post;
declare const Req: typeof import("@nestjs/common").Req;
declare const NestFactory: typeof import("@nestjs/core").NestFactory;
type NestExpressApplication = import("@nestjs/platform-express").NestExpressApplication;
declare const MoimModule: typeof import("@moim/nest").MoimModule;
declare const OnGroup: typeof import("@moim/nest").OnGroup;
type MoimClient = import("@moim/nest").MoimClient;
type Event = import("@moim/nest").Event;
type PresenceChange = import("@moim/nest").PresenceChange;
declare class AppModule {}
declare class ConfigService { getOrThrow(name: string): string }
declare const moim: MoimClient;
`;

/** wrap puts a block where it belongs. */
function wrap(code: string): string {
  if (code.includes("constructor(")) return `export class Rooms {\n${code}}\n`;
  if (code.includes("@Post("))
    return `export class Tokens {\nconstructor(private readonly moim: MoimClient) {}\n${code}}\n`;
  if (code.includes("class Billing")) {
    const own = "store(...args: unknown[]): Promise<void>; seen(...args: unknown[]): Promise<void>";
    return `${code}export interface Billing { ${own} }\n`;
  }
  return `${code}export {};\n`;
}

test("the code of the guide has the right types", async () => {
  const guide = await readFile("../../docs/client-nest.md", "utf8");
  const blocks = [...guide.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""]) => code);
  assert.ok(blocks.length >= 7, `the guide has ${blocks.length} blocks`);
  const folder = "build/guide";
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "around.d.ts"), around);
  for (const [i, code] of blocks.entries()) await writeFile(join(folder, `guide${i}.ts`), wrap(code));
  // Nest's own project has the same settings.
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "ES2023",
    module: "esnext",
    moduleResolution: "bundler",
    lib: ["ES2023"],
    types: ["node"],
    skipLibCheck: true,
    experimentalDecorators: true,
    paths: { "@moim/nest": ["../../src/index.ts"] },
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const tsc = [join("node_modules", "typescript", "bin", "tsc"), "-p", folder];
  await promisify(execFile)(process.execPath, tsc).catch(({ stdout }: { stdout: string }) => assert.fail(stdout));
});
