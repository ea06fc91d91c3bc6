import type { Connection } from "./connection.js";
import { later } from "./env.js";
import { MoimError } from "./errors.js";
import { copyOf, fromWire, waitFor } from "./wire.js";

interface Wanted {
  value: unknown;
  done: () => void;
  fail: (err: MoimError) => void;
}

/**
 * Latest tells the server a value of which only the latest counts, one request at a time. It repeats the request until
 * the server has answered.
 */
export class Latest {
  private wanted: Wanted | undefined;
  private sending = false;
  private ready = false;

  constructor(
    private readonly connection: Connection,
    private readonly event: string,
    private readonly request: (value: unknown) => object,
    private readonly keep: (value: unknown) => boolean, // the value is told again after each reconnect
  ) {}

  /** set replaces the value. The promise settles with the server's answer, or resolves when another value replaces it. */
  set(value: unknown): Promise<void> {
    const { copy } = copyOf(value);
    this.wanted?.done();
    const told = new Promise<void>((done, fail) => {
      this.wanted = { value: copy, done, fail };
    });
    told.catch(() => {}); // a program may ignore it
    this.send();
    return told;
  }

  /** up says that the server can be told now; down, that it cannot. */
  up(): void {
    this.ready = true;
    this.send();
  }

  down(): void {
    this.ready = this.sending = false;
    if (!this.wanted && this.kept) this.wanted = { ...this.kept };
  }

  private kept: Wanted | undefined;

  /** clear gives up the value. */
  clear(): void {
    this.wanted?.fail(new MoimError("closed", "the group's handle or its client was closed"));
    this.wanted = this.kept = undefined;
  }

  private send(): void {
    const { wanted } = this;
    if (!wanted || this.sending || !this.ready) return;
    this.sending = true;
    this.connection.ask(this.event, this.request(wanted.value), ({ error }) => {
      if (error?.code === "disconnected") return;
      const wait = error && waitFor(error);
      if (wait !== undefined) {
        later(wait, () => {
          this.sending = false;
          this.send();
        });
        return;
      }
      this.sending = false;
      if (error) wanted.fail(fromWire(error));
      else wanted.done();
      if (!error) this.kept = this.keep(wanted.value) ? wanted : undefined;
      if (this.wanted === wanted) this.wanted = undefined;
      this.send();
    });
  }
}
