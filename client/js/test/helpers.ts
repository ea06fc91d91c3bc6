import { after } from "node:test";
import { createMoim, type Moim, type MoimOptions } from "../src/index.js";
import type { FakeServer } from "../src/testing.js";

const open: Moim[] = [];
after(() => {
  for (const moim of open) moim.close();
});

/** connect returns a client of a fake server. It is closed after the tests. */
export function connect(server: FakeServer, userId: string, options: Partial<MoimOptions> = {}): Moim {
  const moim = createMoim({ ...server.options(userId), ...options });
  open.push(moim);
  return moim;
}

/** requests returns what a server received of one event. */
export const requests = (server: FakeServer, event: string) =>
  server.received.filter((request) => request.event === event);
