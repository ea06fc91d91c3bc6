import type { Status } from "./types.js";
import type { WireError } from "./wire.js";

/** The answer to a request over a socket. */
export interface Answer {
  data?: unknown;
  error?: WireError;
}

/** What a driver tells. */
export interface DriverEvents {
  /** The connection is there. */
  up(): void;
  /** The connection is lost. Requests that were not answered will not be. */
  down(): void;
  /** The status while there is no connection. */
  status(status: Exclude<Status, "online">, why?: string): void;
  /** The server sent an event. */
  push(event: string, data: unknown): void;
  /** Something arrived. */
  heard(): void;
}

/**
 * A driver keeps one connection to the server. It calls the answer to a request and its events in the order in which
 * they arrive, at once: not after a promise.
 */
export interface Driver {
  /** start begins to connect. Call it again after the driver was refused. */
  start(events: DriverEvents): void;
  /** emit sends a request over the connection, which must be there. */
  emit(event: string, data: unknown, answer: (answer: Answer) => void): void;
  /** restart drops the connection, which seems dead, and connects again. */
  restart(): void;
  /** hurry ends a wait between two attempts. */
  hurry(): void;
  /** stop closes the connection for good. */
  stop(): void;
}

/** backoff returns the next wait of a growing series: half of it is random. */
export class Backoff {
  private span = 0;
  constructor(
    private readonly first = 500,
    private readonly most = 30_000,
  ) {}

  next(): number {
    const before = this.span;
    this.span = Math.min(2 * this.span + this.first, this.most);
    return before / 2 + Math.random() * (this.span - before / 2);
  }

  reset(): void {
    this.span = 0;
  }
}
