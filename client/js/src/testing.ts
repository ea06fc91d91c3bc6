// The package moim-client/testing: a server in memory for tests of programs that use the client.
import { FakeServer } from "./fake/server.js";

export type { FakeRequest, HttpHandler } from "./fake/http.js";
export { type FakeGroup, type FakeServer, type NewGroup, Refusal } from "./fake/server.js";

/** createFakeServer returns a server in memory: createMoim(server.options("alice")) connects to it as alice. */
export const createFakeServer = (): FakeServer => new FakeServer();
