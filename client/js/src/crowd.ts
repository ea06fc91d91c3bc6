import { later } from "./env.js";
import type { Http } from "./http.js";
import type { Present } from "./types.js";

/** Pushed presence of one member. */
interface Item extends Present {
  at?: string;
}

/** Presence as the server pushes it, or as a subscription answers it. */
export interface PresencePush {
  items?: Item[] | null;
  /** In a large group, or in an answer. */
  online?: number;
}

const large = 1_000; // members online: above, the server tells only how many
const again = 5_000;

/** Crowd knows who is present in a group. */
export class Crowd {
  online: number | null = null;

  private current = new Map<string, Present>();
  private at = new Map<string, string>(); // of the last change, to order them
  private shared = false;
  private partial = false; // the names are not all known
  private load = 0;
  private touched: Set<string> | undefined; // told of during a load
  private cancel = () => {};

  constructor(
    private readonly groupId: string,
    private readonly http: Http,
    private readonly changed: () => void,
  ) {}

  /** begin starts with what a subscription answered. */
  begin(answer: PresencePush | null): void {
    this.stop();
    this.current = new Map();
    this.at.clear();
    this.shared = false;
    for (const item of answer?.items ?? []) this.set(item);
    this.online = answer?.online ?? null;
    const named = this.count();
    if (answer === null || (named < (answer.online ?? 0) && (answer.online ?? 0) <= large)) void this.fetch();
    this.partial = answer === null || named < (answer.online ?? 0);
  }

  /** stop ends a load. */
  stop(): void {
    this.load++;
    this.touched = undefined;
    this.cancel();
  }

  /** push takes a change. It forgets users who are offline and not members. */
  push(push: PresencePush, isMember: (userId: string) => boolean): void {
    if (push.online !== undefined) {
      this.stop();
      this.online = push.online;
      this.partial = true;
      return;
    }
    for (const item of push.items ?? []) {
      this.touched?.add(item.userId);
      if (item.status === "offline" && !isMember(item.userId)) {
        this.remove(item.userId);
        continue;
      }
      const last = this.at.get(item.userId);
      if (last === undefined || item.at === undefined || Date.parse(last) <= Date.parse(item.at)) this.set(item);
    }
    if (!this.partial) this.online = this.count();
    else if (!this.touched) void this.fetch();
  }

  /** remove forgets a user who is no longer a member. */
  remove(userId: string): void {
    if (!this.current.has(userId)) return;
    this.own();
    this.current.delete(userId);
    this.at.delete(userId);
    if (!this.partial) this.online = this.count();
  }

  share<State>(): ReadonlyMap<string, Present<State>> {
    this.shared = true;
    return this.current as ReadonlyMap<string, Present<State>>;
  }

  private set({ at, ...item }: Item): void {
    this.own();
    if (item.state === null) delete item.state;
    if (item.status === "offline" && at !== undefined && item.lastSeenAt === undefined) item.lastSeenAt = at;
    this.current.set(item.userId, item);
    if (at !== undefined) this.at.set(item.userId, at);
  }

  private own(): void {
    if (this.shared) this.current = new Map(this.current);
    this.shared = false;
  }

  private count(): number {
    let online = 0;
    for (const { status } of this.current.values()) if (status === "online") online++;
    return online;
  }

  /** fetch reads the whole list. What is told meanwhile is newer. */
  private async fetch(): Promise<void> {
    this.stop();
    const load = this.load;
    const touched = new Set<string>();
    this.touched = touched;
    const items: Present[] = [];
    let cursor: string | undefined;
    try {
      do {
        const page = await this.http.call("get-presence", {
          groupId: this.groupId,
          limit: 200,
          ...(cursor === undefined ? {} : { cursor }),
        });
        if (load !== this.load) return;
        items.push(...(page.items ?? []));
        cursor = page.nextCursor;
      } while (cursor !== undefined && items.length < 2 * large);
    } catch {
      if (load === this.load) this.cancel = later(again * (0.5 + Math.random()), () => void this.fetch());
      return;
    }
    const told = [...touched].map((userId) => this.current.get(userId));
    this.current = new Map(items.map((item) => [item.userId, item]));
    for (const item of told) if (item) this.current.set(item.userId, item);
    this.shared = false;
    this.touched = undefined;
    this.partial = cursor !== undefined;
    if (!this.partial) this.online = this.count();
    this.changed();
  }
}
