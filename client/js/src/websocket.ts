import { type Answer, Backoff, type Driver, type DriverEvents } from "./driver.js";
import { later, type WebSocketClass, type WebSocketLike } from "./env.js";
import type { Http } from "./http.js";
import type { TokenReason, Tokens } from "./tokens.js";

const openWithin = 15_000;
const settled = 10_000; // a connection that lasted so long ends the series of waits

/** The close codes after which the client does not come back by itself. */
const final: Record<number, string> = { 4004: "disconnected", 4005: "rate_limited", 4006: "revoked" };

/** WebSocketDriver speaks Moim's plain WebSocket protocol, and connects again. */
export class WebSocketDriver implements Driver {
  private events!: DriverEvents;
  private ws: WebSocketLike | undefined;
  private answers = new Map<number, (answer: Answer) => void>();
  private lastId = 0;
  private after: number | undefined; // what the server asked to wait, in milliseconds
  private reason: TokenReason = "connect";
  private readonly backoff = new Backoff();
  private cancel = () => {}; // what waits: an attempt, or the deadline of one
  private attempt = 0; // counts attempts: an older one has nothing to say
  private waiting = false;
  private openedAt = 0;

  constructor(
    private readonly url: string,
    private readonly WebSocket: WebSocketClass,
    private readonly tokens: Tokens,
    private readonly http: Http,
  ) {}

  start(events: DriverEvents): void {
    this.events = events;
    this.backoff.reset();
    events.status("connecting");
    void this.connect();
  }

  emit(event: string, data: unknown, answer: (answer: Answer) => void): void {
    const id = ++this.lastId;
    this.answers.set(id, answer);
    this.ws?.send(JSON.stringify({ id, event, data }));
  }

  restart(): void {
    this.lost(1006);
  }

  hurry(): void {
    if (this.waiting) void this.connect();
  }

  stop(): void {
    this.drop(1000);
  }

  private async connect(): Promise<void> {
    this.drop();
    const attempt = ++this.attempt;
    const reason = this.reason;
    let token: string;
    try {
      token = await this.tokens.ask(reason);
    } catch {
      if (attempt === this.attempt) this.retry("token");
      return;
    }
    if (attempt !== this.attempt) return;
    if (token === "") return this.refuse("no_token");
    const ws = new this.WebSocket(this.url, ["moim", `bearer.${token}`]);
    this.ws = ws;
    this.cancel = later(openWithin, () => void this.notOpened(attempt, token, reason));
    ws.onopen = () => {
      this.cancel();
      this.reason = "connect";
      this.openedAt = Date.now();
      this.events.up();
    };
    ws.onmessage = (message: { data: unknown }) => this.receive(String(message.data));
    ws.onerror = () => {}; // onclose follows
    ws.onclose = ({ code }: { code: number }) => {
      if (this.openedAt > 0) this.lost(code);
      else void this.notOpened(attempt, token, reason);
    };
  }

  private receive(text: string): void {
    const message = JSON.parse(text) as Answer & { id?: number; event?: string };
    this.events.heard();
    if (message.event === "socket:reconnect") this.after = (message.data as { after: number }).after;
    else if (message.event !== undefined) this.events.push(message.event, message.data);
    else if (message.id !== undefined) {
      const answer = this.answers.get(message.id);
      this.answers.delete(message.id);
      answer?.(message);
    }
  }

  /** lost goes on after the end of a connection. */
  private lost(code: number): void {
    const { after, openedAt } = this;
    this.drop();
    if (Date.now() - openedAt > settled) this.backoff.reset();
    if (openedAt > 0) this.events.down();
    const why = final[code];
    if (code === 4006) this.reason = "refused";
    if (why !== undefined) return this.refuse(why);
    if (code === 4003) this.reason = "expiring";
    this.events.status("connecting");
    this.wait(after ?? this.backoff.next());
  }

  /** notOpened goes on after an attempt that failed. The server says over HTTP why it refused a connection. */
  private async notOpened(attempt: number, token: string, reason: TokenReason): Promise<void> {
    if (attempt !== this.attempt) return;
    this.drop();
    const { status, retryAfter } = await this.http.probe(token);
    if (attempt !== this.attempt) return;
    if (status !== 401) return this.retry("network", retryAfter * 1000);
    if (reason === "refused") return this.refuse("unauthenticated");
    this.reason = "refused"; // the program may have kept an old token
    void this.connect();
  }

  private retry(why: string, atLeast = 0): void {
    this.drop();
    this.events.status("offline", why);
    this.wait(Math.max(this.backoff.next(), atLeast));
  }

  private wait(ms: number): void {
    this.waiting = true;
    this.cancel = later(ms, () => void this.connect());
  }

  private refuse(why: string): void {
    this.drop();
    this.attempt++;
    this.events.status("refused", why);
  }

  /** drop forgets the connection or the attempt. */
  private drop(code?: number): void {
    this.cancel();
    this.waiting = false;
    this.openedAt = 0;
    this.after = undefined;
    this.answers.clear();
    const { ws } = this;
    this.ws = undefined;
    if (code !== undefined) this.attempt++;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    try {
      ws.close(code);
    } catch {
      // it has not opened yet
    }
  }
}
