// Copies what the Nest module shares with the JavaScript client, so that the repository has it once.
import { cp, mkdir } from "node:fs/promises";

const from = new URL("../../js/src/", import.meta.url);
const to = new URL("../src/contract/", import.meta.url);
await mkdir(to, { recursive: true });
for (const name of ["errors.ts", "types.ts", "generated"])
  await cp(new URL(name, from), new URL(name, to), { recursive: true });
