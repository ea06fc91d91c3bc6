import { sleep } from "./env.js";
import { MoimError } from "./errors.js";
import { concernsMembers, foldMembers } from "./fold.js";
import type { Http } from "./http.js";
import type { Event, Member } from "./types.js";

const mostHeld = 10_000; // events that arrive during a load; beyond that it starts again
const again = 2_000;

/** An import adds members without events of their own. It tells their number alone. */
const isImport = ({ type, data }: Event) =>
  type === "group.updated" && (data as { memberCount?: number } | null)?.memberCount !== undefined;

/** Roster knows the members of a group: it loads them, and applies the events that are newer than what it loaded. */
export class Roster {
  loaded = false; // once
  complete = true;

  private current = new Map<string, Member>();
  private shared = false; // current is in a snapshot: it must be copied before a change
  private held: Event[] | undefined; // since a load began
  private found:
    | { members: Map<string, { member: Member; version: number }>; version: number; complete: boolean }
    | undefined;
  private load = 0; // counts loads: an older one has nothing to say

  constructor(
    private readonly groupId: string,
    private readonly http: Http,
    private readonly most: number,
    private readonly changed: (why?: string) => void,
  ) {}

  get loading(): boolean {
    return this.held !== undefined;
  }

  /** Whether these are all members, as of the last event. */
  get settled(): boolean {
    return this.loaded && this.complete && !this.loading;
  }

  get size(): number {
    return this.current.size;
  }

  /** start loads the members as of a version or later. All events after that version must be applied. */
  start(version: number): void {
    this.held = [];
    this.found = undefined;
    void this.fetch(++this.load, version);
  }

  /** stop ends a load. */
  stop(): void {
    this.load++;
    this.held = this.found = undefined;
  }

  /** reset forgets the members. */
  reset(): void {
    this.stop();
    this.current = new Map();
    this.shared = this.loaded = false;
  }

  /** apply folds one event, and reports whether the members changed. */
  apply(event: Event): boolean {
    const concerns = concernsMembers(event.type);
    if (isImport(event)) this.start(event.version);
    if (this.held) {
      if (concerns) this.held.push(event);
      if (this.held.length > mostHeld) this.start(event.version);
      return this.finish(event.version);
    }
    if (!concerns || (!this.complete && event.type === "member.joined" && this.current.size >= this.most)) return false;
    this.own();
    return foldMembers(this.current, event);
  }

  /** read notes how far a member has read. */
  read(userId: string, version: number): boolean {
    const member = this.current.get(userId);
    if (!member || (member.readVersion ?? 0) >= version) return false;
    this.own();
    this.current.set(userId, { ...member, readVersion: version });
    return true;
  }

  /** get returns a member. */
  get(userId: string): Member | undefined {
    return this.current.get(userId);
  }

  /** share returns the members as they are now. Later changes do not change what it returned. */
  share(): ReadonlyMap<string, Member> {
    this.shared = true;
    return this.current;
  }

  private own(): void {
    if (!this.shared) return;
    this.current = new Map(this.current);
    this.shared = false;
  }

  private async fetch(load: number, version: number): Promise<void> {
    const members = new Map<string, { member: Member; version: number }>();
    let cursor: string | undefined;
    let newest = version;
    for (;;) {
      try {
        const page = await this.http.call("list-members", {
          groupId: this.groupId,
          limit: 200,
          ...(cursor === undefined ? {} : { cursor }),
        });
        if (load !== this.load) return;
        if (page.version < version) throw new MoimError("unavailable", "the list is older than the subscription");
        for (const { status: _, ...member } of page.items ?? [])
          members.set(member.userId, { member, version: page.version });
        newest = Math.max(newest, page.version);
        cursor = page.nextCursor;
        if (cursor === undefined || members.size >= this.most) break;
      } catch (err) {
        if (load !== this.load) return;
        this.changed(err instanceof MoimError ? err.code : "network");
        await sleep(
          (err instanceof MoimError && err.retryAfter ? err.retryAfter * 1000 : again) * (0.5 + Math.random()),
        );
        if (load !== this.load) return;
      }
    }
    this.found = { members, version: newest, complete: cursor === undefined };
    this.changed();
  }

  /** finish takes over what was loaded, once all events up to then have been applied. */
  finish(version: number): boolean {
    const { found, held } = this;
    if (!found || !held || version < found.version) return false;
    const members = new Map<string, Member>();
    for (const [userId, { member }] of found.members) members.set(userId, member);
    for (const event of held) {
      const about = (event.data as { userId?: string } | null)?.userId;
      if ((found.members.get(about ?? "")?.version ?? 0) < event.version) foldMembers(members, event);
    }
    this.held = this.found = undefined;
    this.current = members;
    this.shared = false;
    this.complete = found.complete;
    this.loaded = true;
    return true;
  }
}
