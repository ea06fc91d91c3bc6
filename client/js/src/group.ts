import type { Clock } from "./clock.js";
import type { Connection } from "./connection.js";
import { Crowd, type PresencePush } from "./crowd.js";
import type { Answer } from "./driver.js";
import { Emitter, Store } from "./emitter.js";
import { later } from "./env.js";
import { MoimError } from "./errors.js";
import { foldGroup } from "./fold.js";
import type { Http } from "./http.js";
import { Latest } from "./latest.js";
import type { MineStore } from "./mine.js";
import { Roster } from "./roster.js";
import type {
  Event,
  Group,
  GroupSnapshot,
  Member,
  Membership,
  Phase,
  ReadMark,
  Signal,
  Subscription,
} from "./types.js";
import { Unread } from "./unread.js";
import { fromWire, type WireError, waitFor } from "./wire.js";

const frame = 16; // while catching up, subscribers are told once in this time
const gapWait = 1_000;

/** What a group's store needs of its client. */
export interface GroupDeps {
  connection: Connection;
  http: Http;
  clock: Clock;
  mine: MineStore;
  userId(): string | undefined;
  maxMembers: number;
}

/** GroupStore keeps a copy of one group, from its subscription. */
export class GroupStore extends Store<GroupSnapshot> {
  readonly events = new Emitter();
  private group: Group | undefined;
  private now: (Group & { version: number }) | undefined; // the record as of a version that is not reached yet
  private version: number | undefined; // of the last event that was applied
  private subscribed = false;
  private asked = 0; // counts subscriptions: the answer to an older one does not count
  private closed: string | undefined;
  private trouble: string | undefined;
  private readonly state: Latest; // the user's own live state
  private readonly mark: Latest; // the user's read mark
  private readonly roster: Roster;
  private readonly crowd: Crowd;
  private readonly unread = new Unread();
  private cancelAgain = () => {};
  private cancelTell: (() => void) | undefined;
  private readonly endLoaded: () => void;

  constructor(
    readonly id: string,
    private readonly deps: GroupDeps,
  ) {
    super();
    this.state = new Latest(
      deps.connection,
      "presence:set",
      (state) => ({ groupId: id, state }),
      (state) => state !== null,
    );
    this.mark = new Latest(
      deps.connection,
      "group:read",
      (version) => ({ groupId: id, version }),
      () => false,
    );
    this.roster = new Roster(id, deps.http, deps.maxMembers, (why) => {
      this.trouble = why;
      if (why === undefined) this.roster.finish(this.version ?? 0);
      this.changed();
    });
    this.crowd = new Crowd(id, deps.http, () => this.changed());
    this.endLoaded = deps.mine.events.on("loaded", (list: Map<string, Membership>) => {
      const own = list.get(id);
      if (own && this.unread.load(own, deps.userId())) this.changed();
    });
    if (deps.connection.online) this.up();
  }

  protected make(): GroupSnapshot {
    const { group, roster, crowd } = this;
    const me = this.deps.userId();
    const phase = this.phase();
    const why = this.closed ?? (phase === "joining" ? this.trouble : undefined);
    return {
      phase,
      ...(why === undefined ? {} : { why }),
      group,
      me: me === undefined ? undefined : roster.get(me),
      members: roster.share(),
      membersComplete: roster.complete,
      present: crowd.share(),
      online: crowd.online,
      version: this.version ?? 0,
      unread: this.unread.count,
      serverNow: this.deps.clock.now,
    };
  }

  private phase(): Phase {
    if (this.closed !== undefined) return "closed";
    if (!this.group || !this.roster.loaded) return "joining";
    return this.subscribed && !this.now && !this.roster.loading ? "live" : "catching-up";
  }

  /** up subscribes over a new connection. */
  up(): void {
    this.cancelAgain();
    if (this.closed !== undefined) return;
    const asked = ++this.asked;
    const since = this.version;
    this.deps.connection.ask(
      "group:subscribe",
      { groupId: this.id, ...(since === undefined ? {} : { since }), presence: true },
      (answer) => {
        if (asked === this.asked) this.answered(answer, since);
      },
    );
  }

  down(): void {
    this.asked++;
    this.unsubscribed();
    this.cancelAgain();
    this.crowd.stop();
    this.changed();
  }

  private unsubscribed(): void {
    this.subscribed = false;
    this.state.down();
    this.mark.down();
  }

  /** retry subscribes again to a group that is closed: the user may be a member now. */
  retry(): void {
    if (this.closed === undefined) return;
    this.restart();
    this.changed();
  }

  /** restart forgets the copy and subscribes anew. */
  restart(): void {
    this.closed = this.version = this.now = undefined;
    this.unsubscribed();
    if (this.deps.connection.online) this.up();
  }

  /** forget forgets what another user saw. */
  forget(): void {
    this.group = undefined;
    this.state.clear();
    this.mark.clear();
    this.roster.reset();
    this.unread.reset();
    this.crowd.begin({ items: [], online: 0 });
    this.restart();
    this.changed();
  }

  /** stop ends the subscription for good. */
  stop(): void {
    this.asked++;
    this.cancelAgain();
    this.cancelTell?.();
    this.endLoaded();
    this.state.clear();
    this.mark.clear();
    this.roster.stop();
    this.crowd.stop();
    if (this.closed === undefined) this.deps.connection.ask("group:unsubscribe", { groupId: this.id }, () => {});
  }

  private answered({ data, error }: Answer, since: number | undefined): void {
    if (error) return this.failed(error);
    const { group, version, snapshot, presence } = data as Subscription;
    this.subscribed = true;
    this.trouble = undefined;
    this.deps.clock.restart();
    this.crowd.begin(presence);
    const { version: at, ...record } = group;
    const anew = since === undefined || snapshot === true;
    if (anew) {
      this.version = version;
      this.group = record;
      this.unread.begin(version);
      this.roster.start(version);
      this.deps.mine.refresh();
    } else if (at === this.version) this.group = record;
    this.now = at > (this.version ?? 0) ? group : undefined;
    this.state.up();
    this.mark.up();
    if (anew) this.events.emit("reset", { version });
    this.changed();
  }

  private failed(error: WireError): void {
    const wait = waitFor(error);
    if (error.code === "disconnected") return;
    if (wait === undefined) return this.close(error.code);
    this.trouble = error.code;
    this.cancelAgain = later(wait, () => this.up());
    this.changed();
  }

  private close(why: string): void {
    this.asked++;
    this.closed = why;
    this.unsubscribed();
    this.now = undefined;
    this.roster.stop();
    this.crowd.stop();
    this.deps.mine.refresh();
    this.changed();
  }

  /** ended closes the store with the user's membership. */
  private ended(why: string): void {
    this.close(why);
    this.deps.mine.remove(this.id);
  }

  /** push takes what the server sends about this group. */
  push(event: string, data: unknown): void {
    switch (event) {
      case "group:event":
        return this.apply(data as Event);
      case "group:presence":
        if (!this.subscribed) return;
        this.crowd.push(
          data as PresencePush,
          (userId) => !this.roster.settled || this.roster.get(userId) !== undefined,
        );
        return this.changed();
      case "group:signal": {
        const signal = data as Signal;
        this.events.emit(`signal:${signal.type}`, signal);
        return this.events.emit("signal", signal);
      }
      case "group:read":
        return this.marks((data as { items?: ReadMark[] }).items ?? []);
      case "group:closed": {
        const { reason } = data as { reason: string };
        if (reason !== "resync") return this.ended(reason);
        this.restart();
        return this.changed();
      }
    }
  }

  private apply(event: Event): void {
    if (this.version === undefined || this.closed !== undefined || event.version <= this.version) return;
    if (event.version > this.version + 1) {
      // Never on a healthy connection. Ask for what is missing.
      if (!this.subscribed) return;
      this.unsubscribed();
      this.cancelAgain = later(gapWait, () => this.up());
      return this.changed();
    }
    this.version = event.version;
    this.deps.clock.sample(event.at);
    const before = this.group;
    if (before) {
      this.group = foldGroup(before, event);
      if (this.now && this.now.version <= event.version) {
        const { version: _, ...record } = this.now;
        this.group = record;
        this.now = undefined;
      } else if (this.now === undefined) this.countMembers(event);
    }
    const { userId } = (event.data ?? {}) as { userId?: string };
    if (this.roster.apply(event) && userId !== undefined && !this.roster.get(userId)) this.crowd.remove(userId);
    this.unread.apply(event, this.deps.userId());
    this.touch();
    this.events.emit(event.type, event);
    this.events.emit("event", event);
    this.changed();
  }

  private countMembers({ type, data }: Event): void {
    if (!this.group) return;
    const banned = type === "member.banned" && this.roster.get((data as { userId: string }).userId) !== undefined;
    const change =
      type === "member.joined" ? 1 : type === "member.left" || type === "member.removed" || banned ? -1 : 0;
    if (change !== 0) this.group = { ...this.group, memberCount: this.group.memberCount + change };
  }

  private marks(items: readonly ReadMark[]): void {
    const me = this.deps.userId();
    for (const { userId, version } of items) {
      this.roster.read(userId, version);
      if (userId === me && !this.unread.read(version)) this.deps.mine.refresh();
    }
    this.events.emit("read", items);
    this.changed();
  }

  /** read moves the user's read mark. */
  async read(version = this.version ?? 0): Promise<void> {
    const known = this.unread.read(version);
    this.changed();
    await this.mark.set(version);
    if (!known) this.deps.mine.refresh();
  }

  /** signal sends what is not stored, at most once. */
  signal(type: string, data: unknown, to: readonly string[] | undefined): Promise<void> {
    const sent = new Promise<void>((done, fail) => {
      const request = { groupId: this.id, type, data, ...(to === undefined ? {} : { to }) };
      this.deps.connection.ask("group:signal", request, ({ error }) => {
        if (!error) done();
        else if (error.code === "disconnected")
          fail(new MoimError("offline", "a signal is not kept until there is a connection"));
        else fail(fromWire(error));
      });
    });
    sent.catch(() => {}); // a program may ignore it
    return sent;
  }

  /** present sets the user's live state. It is set again after each reconnect. */
  present(state: unknown): Promise<void> {
    return this.state.set(state);
  }

  /** changed tells the subscribers: at once, or a moment later while many events arrive. */
  private changed(): void {
    const { group, roster } = this;
    if (group && !this.now && roster.settled && group.memberCount !== roster.size)
      this.group = { ...group, memberCount: roster.size };
    this.touch();
    if (this.phase() !== "catching-up") {
      this.cancelTell?.();
      this.cancelTell = undefined;
      this.notify();
    } else {
      this.cancelTell ??= later(frame, () => {
        this.cancelTell = undefined;
        this.notify();
      });
    }
  }

  private notify(): void {
    this.tell();
    const { group, unread, version = 0 } = this;
    const me = this.deps.userId();
    if (!group || this.closed !== undefined) return;
    this.deps.mine.patch(this.id, (old) => ({
      ...group,
      version,
      role: roleOf(this.roster.get(me ?? "")) ?? old.role,
      online: this.crowd.online,
      ...(unread.count === null
        ? { unread: old.unread, readVersion: old.readVersion }
        : { unread: unread.count, readVersion: unread.readVersion }),
    }));
  }
}

const roleOf = (member: Member | undefined) => member?.role;
