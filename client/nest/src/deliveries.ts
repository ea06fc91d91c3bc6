import type { Event } from "./contract/types.js";

/** Events of one group, in order. */
export interface Delivery {
  hook: string;
  groupId: string;
  /** Events before these are lost: read the group again. */
  gap?: boolean;
  events: Event[];
}

/** A user is online in a group, or went offline. Of two about a user and a group, the one with the larger `n` is right. */
export interface PresenceChange {
  type: "presence.online" | "presence.offline";
  groupId: string;
  userId: string;
  at: string;
  n: number;
}

/** Changes of presence in one group, in order. */
export interface PresenceDelivery {
  hook: string;
  groupId: string;
  events: PresenceChange[];
}

type Any = Delivery | PresenceDelivery;

export type Handler = (event: Event | PresenceChange, delivery: Any) => unknown;

const remembered = 10_000;

/** matches says whether a pattern (`member.joined`, `member.*`, or `*` for all but presence) names a type. */
export function matches(pattern: string, type: string): boolean {
  if (pattern === "*") return !type.startsWith("presence.");
  return pattern === type || (pattern.endsWith(".*") && type.startsWith(pattern.slice(0, -1)));
}

/** Deliveries hands events to handlers: those of one group in order, and a delivery that was handled not again. */
export class Deliveries {
  private readonly handlers: { pattern: string; handle: Handler }[] = [];
  private readonly done = new Set<string>(); // the oldest first
  private readonly last = new Map<string, Promise<unknown>>(); // by group, while something is handled

  on(pattern: string, handle: Handler): void {
    this.handlers.push({ pattern, handle });
  }

  /** accept resolves when all handlers are done, and rejects if one throws. */
  async accept(id: string, delivery: Any): Promise<void> {
    const { groupId } = delivery;
    const before = this.last.get(groupId) ?? Promise.resolve();
    // After a replay, a delivery may begin with the same event, and end with a later one.
    const last = delivery.events.at(-1);
    const end = last && "version" in last ? last.version : 0;
    const mine = before.catch(() => {}).then(() => this.handle(`${delivery.hook} ${id} ${end}`, delivery));
    this.last.set(groupId, mine);
    try {
      await mine;
    } finally {
      if (this.last.get(groupId) === mine) this.last.delete(groupId);
    }
  }

  private async handle(id: string, delivery: Any): Promise<void> {
    if (this.done.has(id)) return;
    for (const event of delivery.events) {
      for (const { pattern, handle } of this.handlers) if (matches(pattern, event.type)) await handle(event, delivery);
    }
    this.done.add(id);
    for (const oldest of this.done) {
      if (this.done.size <= remembered) break;
      this.done.delete(oldest);
    }
  }
}
