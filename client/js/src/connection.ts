import type { Answer, Driver } from "./driver.js";
import { Emitter, Store } from "./emitter.js";
import { hidden, later, onWake } from "./env.js";
import type { Tokens } from "./tokens.js";
import type { ConnectionSnapshot, Status } from "./types.js";
import type { WireError } from "./wire.js";

const tickEvery = 1_000;
const slept = 10_000; // a tick that is so late means that the machine or the page slept
const answerWithin = 20_000; // the server answers within 15 s
const silentFor = 30_000; // then the connection is tried
const tryWithin = 10_000;
const tryQuickly = 4_000; // after a sleep

/** A request whose answer is harmless and costs the server nothing: it shows that the connection is alive. */
const harmless = { groupId: "00000000-0000-0000-0000-000000000000" };

interface Open {
  deadline: number;
  answer: (answer: Answer) => void;
}

const disconnected: WireError = { code: "disconnected", message: "the connection was lost before the answer" };

/**
 * Connection is the one connection of a client. It tells of a connection that came ("up") and went ("down"), and of what
 * the server sends ("push"). It finds a connection that is dead, and replaces tokens before they expire.
 */
export class Connection extends Store<ConnectionSnapshot> {
  readonly events = new Emitter();
  private status: Status = "connecting";
  private why: string | undefined;
  private readonly open = new Set<Open>();
  private started = false;
  private lastHeard = 0;
  private lastTick = 0;
  private trying = false;
  private cancelTick = () => {};
  private endWake = () => {};

  constructor(
    private readonly driver: Driver,
    private readonly tokens: Tokens,
  ) {
    super();
  }

  protected make(): ConnectionSnapshot {
    return this.why === undefined ? { status: this.status } : { status: this.status, why: this.why };
  }

  get online(): boolean {
    return this.status === "online";
  }

  /** start connects, once. Afterwards, it connects again only if the connection was refused. */
  start(again = false): void {
    if (this.started && !(again && this.status === "refused")) return;
    if (!this.started) {
      this.endWake = onWake(() => this.wake());
      this.lastTick = Date.now();
      this.tick();
    }
    this.started = true;
    this.driver.start({
      up: () => this.up(),
      down: () => this.down(),
      status: (status, why) => this.set(status, why),
      heard: () => {
        this.lastHeard = Date.now();
      },
      push: (event, data) => {
        if (event === "token:expiring") void this.renew();
        else this.events.emit("push", { event, data });
      },
    });
  }

  stop(): void {
    this.endWake();
    this.cancelTick();
    this.driver.stop();
    if (this.online) this.down();
    this.started = false;
    this.set("refused", "closed");
  }

  /** ask sends a request. The answer is handled at once, before later events, and is an error if the connection goes. */
  ask(event: string, data: unknown, answer: (answer: Answer) => void, within = answerWithin): void {
    if (!this.online) return answer({ error: disconnected });
    const open: Open = { deadline: Date.now() + within, answer };
    this.open.add(open);
    this.driver.emit(event, data, (given) => {
      if (this.open.delete(open)) answer(given);
    });
  }

  private up(): void {
    if (!this.started || this.online) return;
    this.lastHeard = Date.now();
    this.trying = false;
    this.set("online");
    this.events.emit("up");
  }

  private down(): void {
    this.status = "connecting";
    const lost = [...this.open];
    this.open.clear();
    for (const { answer } of lost) answer({ error: disconnected });
    this.events.emit("down");
  }

  private set(status: Status, why?: string): void {
    // After a failed attempt, the client is offline until it is online.
    if (status === "connecting" && this.getSnapshot().status === "offline") return;
    this.status = status;
    this.why = why;
    this.touch();
    this.tell();
  }

  /** tick finds requests without an answer, silence, and a machine that slept. */
  private tick(): void {
    this.cancelTick = later(tickEvery, () => this.tick());
    const now = Date.now();
    const late = now - this.lastTick > slept;
    this.lastTick = now;
    if (late) return this.wake();
    if (!this.online) return;
    for (const { deadline } of this.open) {
      if (deadline < now) return this.driver.restart();
    }
    if (now - this.lastHeard > silentFor && !hidden()) this.try(tryWithin);
  }

  private wake(): void {
    this.events.emit("wake");
    if (this.online) this.try(tryQuickly);
    else if (this.started) this.driver.hurry();
  }

  private try(within: number): void {
    if (this.trying) return;
    this.trying = true;
    const done = () => {
      this.trying = false;
    };
    this.ask("group:unsubscribe", harmless, done, within);
  }

  /** renew replaces a token that expires soon. If that fails, the server closes the connection, and the driver asks. */
  private async renew(): Promise<void> {
    const token = await this.tokens.ask("expiring").catch(() => "");
    if (token !== "") this.ask("auth", { token }, () => {});
  }
}
