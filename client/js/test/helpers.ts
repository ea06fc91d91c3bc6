import { after } from "node:test";
import { createMoim, type Moim, type MoimOptions } from "../src/index.js";
import { createFakeServer, type FakeServer } from "../src/testing.js";
import { until } from "./until.js";

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

/** live returns a client that follows a group of a fake server. */
export async function live(userId = "ana", members = ["ana", "bo"]) {
  const server = createFakeServer();
  const id = server.createGroup({ members });
  const moim = connect(server, userId);
  const group = moim.group(id);
  await until("the group is live", () => group.getSnapshot().phase === "live");
  return { server, id, moim, group };
}
