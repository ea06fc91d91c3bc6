import type { Fetch, WebSocketClass } from "../env.js";
import { newKey } from "../env.js";
import type { Event, Group, Member, Present } from "../types.js";
import type { WireError } from "../wire.js";
import { answerHttp, type HttpHandler } from "./http.js";
import { type FakeSocket, fakeWebSocket } from "./socket.js";

export interface FakeGroup {
  record: Group;
  log: Event[];
  first: number; // events before it are no longer in the log
  members: Map<string, Member & { readVersion: number }>;
  present: Map<string, Present>;
}

/** An error that a fake answers. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly error: WireError,
  ) {
    super(error.code);
  }
}

export const notFound = () => new Refusal(404, { code: "not_found", message: "there is no such group" });
export const notMember = () => new Refusal(403, { code: "not_member", message: "you are not a member of this group" });

export interface NewGroup {
  id?: string;
  name?: string;
  ownerId?: string;
  /** Ids of members, besides the owner. */
  members?: readonly string[];
  attributes?: unknown;
}

/**
 * A server in memory, for tests of programs that use the client: groups, members, events, signals, presence and read
 * marks, and the ways in which a connection fails. Calls that it does not have can be added with handle.
 */
export class FakeServer {
  readonly url = "http://moim.test";
  /** The WebSocket class to give to createMoim. */
  readonly WebSocket: WebSocketClass;
  /** The fetch function to give to createMoim. */
  readonly fetch: Fetch;
  /** What arrived over sockets, oldest first. */
  readonly received: { userId: string; event: string; data: unknown }[] = [];

  /** @internal */ readonly groups = new Map<string, FakeGroup>();
  /** @internal */ readonly sockets = new Set<FakeSocket>();
  /** @internal */ readonly handlers = new Map<string, HttpHandler>();
  /** @internal */ readonly answers = new Map<string, unknown>(); // by idempotency key
  /** @internal */ refused: "down" | "token" | undefined;
  /** @internal */ frozen = false;
  private readonly failures: { event: string; error: WireError; times: number }[] = [];

  constructor() {
    this.WebSocket = fakeWebSocket(this);
    this.fetch = (url, init) => answerHttp(this, url, init);
  }

  /** options returns what createMoim needs to connect as a user. */
  options(userId: string): { url: string; WebSocket: WebSocketClass; fetch: Fetch; getToken: () => string } {
    return { url: this.url, WebSocket: this.WebSocket, fetch: this.fetch, getToken: () => this.token(userId) };
  }

  /** token returns a token that only a fake accepts. */
  token(userId: string, seconds = 3600): string {
    const part = (value: unknown) =>
      btoa(JSON.stringify(value)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
    return `${part({ alg: "none" })}.${part({ sub: userId, exp: Math.floor(Date.now() / 1000) + seconds })}.fake`;
  }

  /** createGroup makes a group and returns its id. */
  createGroup({
    id = newKey(),
    name = "Group",
    ownerId = "owner",
    members = [],
    attributes = {},
  }: NewGroup = {}): string {
    const at = new Date().toISOString();
    const record: Group = {
      id,
      name,
      ownerId,
      attributes,
      description: "",
      visibility: "private",
      joinPolicy: "open",
      posting: "members",
      readReceipts: false,
      capacity: null,
      memberCount: 1,
      revision: 1,
      createdAt: at,
      updatedAt: at,
    };
    const group: FakeGroup = { record, log: [], first: 1, members: new Map(), present: new Map() };
    group.members.set(ownerId, { userId: ownerId, role: "owner", attributes: {}, joinedAt: at, readVersion: 0 });
    this.groups.set(id, group);
    this.event(id, "group.created", { ...record, version: 1 }, ownerId);
    for (const member of members) this.join(id, member);
    return id;
  }

  /** group returns the state of a group. */
  group(groupId: string): FakeGroup {
    const group = this.groups.get(groupId);
    if (!group) throw notFound();
    return group;
  }

  /** event appends an event to a group's log and sends it to its subscribers. It changes neither record nor members. */
  event(groupId: string, type: string, data: unknown, actor: string | null = null): Event {
    const group = this.group(groupId);
    const event: Event = { groupId, version: group.log.length + 1, type, actor, data, at: new Date().toISOString() };
    group.log.push(event);
    this.toSubscribers(groupId, "group:event", event);
    const { userId = type === "group.created" ? this.group(groupId).record.ownerId : undefined } = (data ?? {}) as {
      userId?: string;
    };
    for (const socket of this.sockets) {
      if (socket.mine && socket.userId === userId) socket.push("group:mine", { groupId, type });
    }
    return event;
  }

  /** post posts a message. */
  post(groupId: string, userId: string, type: string, data: unknown): Event {
    const event = this.event(groupId, "message.posted", { type, data }, userId);
    const member = this.group(groupId).members.get(userId);
    if (member) member.readVersion = event.version;
    return event;
  }

  /** join makes a user a member. */
  join(groupId: string, userId: string): Member {
    const group = this.group(groupId);
    const old = group.members.get(userId);
    if (old) return old;
    const member: Member = { userId, role: "member", attributes: {}, joinedAt: new Date().toISOString() };
    group.members.set(userId, { ...member, readVersion: group.log.length });
    group.record = { ...group.record, memberCount: group.members.size };
    this.event(groupId, "member.joined", member, userId);
    return member;
  }

  /** leave ends a membership: `left`, `removed` or `banned`. */
  leave(groupId: string, userId: string, why: "left" | "removed" | "banned" = "left"): void {
    const group = this.group(groupId);
    group.members.delete(userId);
    group.record = { ...group.record, memberCount: group.members.size };
    this.event(groupId, `member.${why}`, { userId }, why === "left" ? userId : group.record.ownerId);
    for (const socket of this.sockets) {
      if (socket.userId === userId && socket.groups.delete(groupId))
        socket.push("group:closed", { groupId, reason: why });
    }
  }

  /** update changes a group's record. */
  update(groupId: string, change: Partial<Group>, actor: string | null = null): Group {
    const group = this.group(groupId);
    group.record = { ...group.record, ...change, revision: group.log.length + 1, updatedAt: new Date().toISOString() };
    this.event(groupId, "group.updated", change, actor);
    return group.record;
  }

  /** signal sends a signal to the subscribers. */
  signal(groupId: string, from: string, type: string, data: unknown = null): void {
    this.toSubscribers(groupId, "group:signal", { groupId, from, type, data });
  }

  /** present shows members as present, or changes their state. */
  present(groupId: string, ...items: Present[]): void {
    const { present } = this.group(groupId);
    for (const item of items) present.set(item.userId, item);
    this.toSubscribers(groupId, "group:presence", {
      groupId,
      items: items.map((item) => ({ ...item, at: new Date().toISOString() })),
    });
  }

  /** push sends any event to the subscribers of a group. */
  push(groupId: string, event: string, data: object): void {
    this.toSubscribers(groupId, event, { groupId, ...data });
  }

  /** close closes the connections of a user, or all of them, with a code. */
  close(code = 1006, userId?: string): void {
    for (const socket of [...this.sockets]) if (userId === undefined || socket.userId === userId) socket.end(code);
  }

  /** refuse lets attempts to connect fail: nobody answers ("down"), or tokens are not valid ("token"). Without, no more. */
  refuse(how?: "down" | "token"): void {
    this.refused = how;
  }

  /** freeze stops answering, without closing connections. thaw goes on; what was sent meanwhile is lost. */
  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
  }

  /** trim forgets the log of a group, so that clients that missed events start from a snapshot. */
  trim(groupId: string): void {
    const group = this.group(groupId);
    group.first = group.log.length + 1;
  }

  /** fail lets the next requests of a socket event fail: fail("group:message", { code: "rate_limited", retryAfter: 1 }). */
  fail(event: string, error: WireError, times = 1): void {
    this.failures.push({ event, error, times });
  }

  /** handle adds a call over HTTP, by its operationId, or replaces it. fn may throw a Refusal. */
  handle(name: string, fn: HttpHandler): void {
    this.handlers.set(name, fn);
  }

  /** @internal */
  failure(event: string): WireError | undefined {
    const at = this.failures.findIndex((failure) => failure.event === event);
    const failure = this.failures[at];
    if (failure && --failure.times === 0) this.failures.splice(at, 1);
    return failure?.error;
  }

  private toSubscribers(groupId: string, event: string, data: unknown): void {
    for (const socket of this.sockets) if (socket.groups.has(groupId)) socket.push(event, data);
  }
}

declare function btoa(text: string): string;
