import type { Connection } from "./connection.js";
import { Emitter, Store } from "./emitter.js";
import { hidden, later } from "./env.js";
import { MoimError } from "./errors.js";
import type { Http } from "./http.js";
import type { Membership, MineSnapshot } from "./types.js";

const collect = 20; // several reasons to load make one load
const every = 30_000; // while somebody watches the list
const again = 2_000;

/**
 * MineStore is the list of the user's own groups. The store reads it again after each connection and each call that may
 * change it. While the store has a subscriber, it also reads the list when the server says that the user joined or left a
 * group or has another role, when the page becomes visible, and every half a minute. Groups with a handle change at once.
 */
export class MineStore extends Store<MineSnapshot> {
  readonly events = new Emitter(); // "loaded": a Map by group id
  private groups: readonly Membership[] = [];
  private phase: MineSnapshot["phase"] = "loading";
  private why: string | undefined;
  private watchers = 0;
  private loading = false;
  private wanted = false;
  private cancel = () => {};
  private cancelNext = () => {};
  private generation = 0;

  constructor(
    private readonly connection: Connection,
    private readonly http: Http,
    private readonly begin: () => void,
  ) {
    super();
    const { subscribe } = this;
    // A subscriber keeps the list fresh.
    Object.assign(this, {
      subscribe: (fn: () => void) => {
        const off = subscribe(fn);
        this.begin();
        if (this.watchers++ === 0) this.follow();
        let done = false;
        return () => {
          if (!done && --this.watchers === 0) this.cancelNext();
          done = true;
          off();
        };
      },
    });
    // While the page is hidden, the list is not read.
    connection.events.on("wake", () => {
      if (this.watchers > 0) this.refresh();
    });
    connection.events.on("down", () => {
      if (this.phase === "live") this.phase = "catching-up";
      this.touch();
      this.tell();
    });
  }

  /** up reads the list on a new connection. */
  up(): void {
    if (this.watchers > 0) this.follow();
    else this.refresh();
  }

  /** follow has the server say when the list changes, and then reads it. A server that cannot say so answers an error. */
  private follow(): void {
    this.connection.ask("group:mine", {}, () => this.refresh());
  }

  protected make(): MineSnapshot {
    const { phase, groups, why } = this;
    return why === undefined ? { phase, groups } : { phase, groups, why };
  }

  /** refresh reads the list soon. */
  refresh(): void {
    this.wanted = true;
    this.cancel();
    this.cancel = later(collect, () => void this.load());
  }

  /** patch changes a group of the list, because its own store knows better. */
  patch(groupId: string, change: (old: Membership) => Membership): void {
    const old = this.groups.find(({ id }) => id === groupId);
    const next = old && change(old);
    if (!next || same(old, next)) return;
    this.groups = this.groups.map((group) => (group === old ? next : group));
    this.touch();
    this.tell();
  }

  /** remove takes a group out of the list, because its subscription has ended with the membership. */
  remove(groupId: string): void {
    const left = this.groups.filter(({ id }) => id !== groupId);
    if (left.length === this.groups.length) return;
    this.groups = left;
    this.touch();
    this.tell();
  }

  /** clear forgets everything: it was another user's. */
  clear(): void {
    this.generation++;
    this.groups = [];
    this.phase = "loading";
    this.touch();
    this.tell();
  }

  stop(): void {
    this.generation++;
    this.cancel();
    this.cancelNext();
  }

  private async load(): Promise<void> {
    if (this.loading || !this.connection.online) return; // the end of a load and a new connection load again
    this.loading = true;
    this.wanted = false;
    const generation = this.generation;
    const groups: Membership[] = [];
    let wait = every;
    try {
      let cursor: string | undefined;
      do {
        const page = await this.http.call("my-groups", { limit: 200, ...(cursor === undefined ? {} : { cursor }) });
        groups.push(...((page.items ?? []) as Membership[]));
        cursor = page.nextCursor;
      } while (cursor !== undefined && generation === this.generation);
      if (generation === this.generation) {
        this.groups = groups;
        this.phase = this.connection.online ? "live" : "catching-up";
        this.why = undefined;
        this.events.emit("loaded", new Map(groups.map((group) => [group.id, group])));
      }
    } catch (err) {
      this.why = err instanceof MoimError ? err.code : "network";
      this.wanted = true;
      wait = again * (1 + Math.random());
    } finally {
      this.loading = false;
      this.touch();
      this.tell();
    }
    this.cancelNext();
    const over = generation !== this.generation;
    if (this.wanted && (wait === every || over)) this.refresh();
    else if (over) return;
    else if (this.wanted || this.watchers > 0)
      this.cancelNext = later(wait, () => (hidden() ? undefined : this.refresh()));
  }
}

function same(a: Membership, b: Membership): boolean {
  const names = Object.keys(b) as (keyof Membership)[];
  return names.length === Object.keys(a).length && names.every((name) => a[name] === b[name]);
}
