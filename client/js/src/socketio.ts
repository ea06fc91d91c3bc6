import type { Answer, Driver, DriverEvents } from "./driver.js";
import { later } from "./env.js";
import type { GetToken, Tokens } from "./tokens.js";

/** The part of a socket of socket.io-client that the client uses. */
export interface SocketIOLike {
  connected: boolean;
  active: boolean;
  auth?: unknown;
  io?: unknown;
  on(event: string, listener: (...args: any[]) => void): unknown;
  off(event: string, listener: (...args: any[]) => void): unknown;
  onAny(listener: (event: string, ...args: any[]) => void): unknown;
  offAny(listener: (event: string, ...args: any[]) => void): unknown;
  emit(event: string, ...args: any[]): unknown;
  connect(): unknown;
  disconnect(): unknown;
}

/** urlOf returns the URL of the node that a socket connects to, or undefined if the socket does not tell it. */
export function urlOf({ io }: SocketIOLike): string | undefined {
  const { uri, opts } = (io ?? {}) as { uri?: string; opts?: { path?: string } };
  const origin = uri?.match(/^(?:http|ws)(s?:\/\/[^/?#]+)/)?.[1];
  return origin && `http${origin}${opts?.path?.replace(/\/socket\.io\/?$/, "") ?? ""}`;
}

/** tokensOf returns a function that reads the tokens that a socket sends. A refused token is not returned again. */
export function tokensOf(socket: SocketIOLike): GetToken {
  let last: string | null = null;
  return async (reason) => {
    const { auth } = socket;
    const sent = await new Promise<unknown>((resolve) => (typeof auth === "function" ? auth(resolve) : resolve(auth)));
    const token = (sent as { token?: string } | undefined)?.token ?? null;
    if (reason === "refused" && token === last) return null;
    last = token;
    return token;
  };
}

/** How long a socket may take to connect again by itself before it counts as refused. */
const again = 5_000;

/** SocketIODriver uses a socket of socket.io-client that the program has made, and leaves reconnecting to it. */
export class SocketIODriver implements Driver {
  private events!: DriverEvents;
  private listeners: [string, (...args: any[]) => void][] | undefined;
  private wasUp = false;
  private tried = false; // a new token, after a refusal
  private cancel = () => {};

  constructor(
    private readonly socket: SocketIOLike,
    private readonly tokens: Tokens,
  ) {}

  start(events: DriverEvents): void {
    const { socket } = this;
    this.events = events;
    this.tried = false;
    if (!this.listeners) {
      this.listeners = [
        ["connect", () => this.up()],
        ["disconnect", (reason: string) => this.down(reason)],
        ["connect_error", (err: { data?: { code?: string } }) => this.failed(err.data?.code)],
      ];
      for (const [name, listener] of this.listeners) socket.on(name, listener);
      socket.onAny(this.push);
    }
    if (socket.connected) return this.up();
    events.status("connecting");
    // If it is connecting already, a second call would send a second CONNECT, and the server would close the connection.
    if (!socket.active) socket.connect();
  }

  emit(event: string, data: unknown, answer: (answer: Answer) => void): void {
    let answered = false;
    this.socket.emit(event, data, (given: Answer) => {
      if (answered || !this.wasUp) return;
      answered = true;
      this.events.heard();
      answer(given);
    });
  }

  restart(): void {
    this.socket.disconnect();
    this.socket.connect();
  }

  hurry(): void {
    if (this.socket.active && !this.socket.connected) this.restart(); // connect alone does not end the wait
  }

  stop(): void {
    this.cancel();
    for (const [name, listener] of this.listeners ?? []) this.socket.off(name, listener);
    this.socket.offAny(this.push);
    this.listeners = undefined;
  }

  private readonly push = (event: string, data: unknown) => {
    this.events.heard();
    this.events.push(event, data);
  };

  private up(): void {
    this.wasUp = true;
    this.tried = false;
    // The program's own auth function gives the token. This asks only who the user is.
    this.tokens
      .current()
      .catch(() => "")
      .then(() => this.socket.connected && this.events.up());
  }

  private down(reason: string): void {
    if (this.wasUp) {
      this.wasUp = false;
      this.events.down();
    }
    // Socket.IO does not say whether the token expired or a back end ended the connection. A new token tells.
    if (reason === "io server disconnect") return void this.renew("disconnected");
    this.events.status(
      reason === "io client disconnect" ? "offline" : "connecting",
      reason === "io client disconnect" ? "client" : undefined,
    );
  }

  private failed(code: string | undefined): void {
    if (this.socket.active) return this.events.status("offline", code ?? "network");
    if (code !== "unauthenticated" || this.tried) return this.events.status("refused", code ?? "unauthenticated");
    this.tried = true;
    void this.renew("unauthenticated");
  }

  private async renew(why: string): Promise<void> {
    this.events.status("connecting");
    const token = await this.tokens.ask("refused").catch(() => undefined);
    if (token === "") return this.events.status("refused", why);
    this.cancel = later(token === undefined ? again : Math.random() * 1000, () => {
      if (token === undefined) void this.renew(why);
      else if (!this.socket.active) this.socket.connect();
    });
  }
}
