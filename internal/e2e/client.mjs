// Runs any number of real socket.io-client sockets, and of the clients that the
// documentation shows, for the end-to-end tests.
// Commands come in as lines of JSON, what happens goes out as lines of JSON.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { WebSocket } from "ws";

globalThis.WebSocket = WebSocket; // as browsers have it; Node 20 has none

const sockets = new Map();

function say(client, type, rest) {
  process.stdout.write(JSON.stringify({ client, type, ...rest }) + "\n");
}

const commands = {
  // open makes a socket, which connects, and connects again, by itself.
  open({ client, url, options }) {
    const socket = io(url, { forceNew: true, ...options });
    sockets.set(client, socket);
    socket.on("connect", () =>
      say(client, "connect", {
        sid: socket.id,
        transport: socket.io.engine.transport.name,
      }),
    );
    socket.on("connect_error", (error) =>
      say(client, "connect_error", {
        message: error.message,
        data: error.data ?? null,
      }),
    );
    socket.on("disconnect", (reason) => say(client, "disconnect", { reason }));
    socket.onAny((event, ...args) => say(client, "event", { event, args }));
  },

  // emit sends an event; its acknowledgement comes back as an answer. It is
  // awaited, as most programs do: what came in right behind the answer may be
  // told before it. It fails when the connection is lost first.
  async emit({ client, id, event, data }) {
    try {
      const answer = await sockets.get(client).emitWithAck(event, data);
      say(client, "answer", { id, args: [answer] });
    } catch (error) {
      say(client, "answer", { id, failure: error.message });
    }
  },

  // follow runs a client of the documentation, which a module exports. What it
  // calls comes back as events.
  async follow({ client, module, url, token, groupId }) {
    const { connect, follow } = await import(module);
    const tell = (event) => (arg) => say(client, "event", { event, args: [arg] });
    const socket = connect(url, async () => token);
    socket.io?.on("open", () => socket.io.engine.on("upgrade", (transport) => tell("upgraded")(transport.name)));
    follow(socket, groupId, {
      start: tell("start"),
      apply: tell("apply"),
      over: tell("over"),
    });
  },

  // close ends a socket for good.
  close({ client }) {
    sockets.get(client)?.disconnect();
    sockets.delete(client);
  },
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.op](command);
});
lines.on("close", () => process.exit(0));
