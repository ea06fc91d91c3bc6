import { Clock } from "./clock.js";
import { Connection } from "./connection.js";
import { env, type Fetch, later, type WebSocketClass } from "./env.js";
import { MoimError } from "./errors.js";
import { type GroupDeps, GroupStore } from "./group.js";
import { Http } from "./http.js";
import { MineStore } from "./mine.js";
import { Outbox } from "./outbox.js";
import { SocketIODriver, type SocketIOLike, tokensOf, urlOf } from "./socketio.js";
import { type GetToken, Tokens } from "./tokens.js";
import type {
  CallAnswer,
  CallArguments,
  CallName,
  ConnectionSnapshot,
  Event,
  GroupCallArguments,
  GroupCallName,
  GroupSnapshot,
  MineSnapshot,
  Status,
  Told,
  ToldBy,
} from "./types.js";
import { WebSocketDriver } from "./websocket.js";

const releaseAfter = 1_000;

/** The options of a client: `url` and `getToken`, or a socket of socket.io-client, which has both. */
export type MoimOptions = CommonOptions & (OwnConnection | ({ socket: SocketIOLike } & Partial<OwnConnection>));

interface OwnConnection {
  /** The node's URL, such as `https://moim.example`, or `https://example.org/rt` if Moim is mounted under `/rt`. */
  url: string;
  /** Returns a token of the user. It is called before each connection, and before a token expires. */
  getToken: GetToken;
}

interface CommonOptions {
  /** A socket of socket.io-client to use instead of a WebSocket. Its `auth` has to give the token. */
  socket?: SocketIOLike;
  /** The WebSocket class, where there is no global one: in Node.js 20, that of the package `ws`. */
  WebSocket?: WebSocketClass;
  /** The fetch function, if it is not the global one. */
  fetch?: Fetch;
  /** The user's id, if it is not the claim `sub` of a JWT. */
  userId?: string;
  /** How many members of a group are loaded at most. The default is 10,000. */
  maxMembers?: number;
}

/** The arguments of a call, which may be left out if none is required. */
type Given<Arguments> = Partial<Arguments> extends Arguments ? [args?: Arguments] : [args: Arguments];

/** A store, as React's useSyncExternalStore and similar functions take it. */
export interface ReadableStore<T> {
  /** Calls fn after each change. Returns a function that ends this. */
  subscribe(fn: () => void): () => void;
  /** Returns the state: the same object until it changes. It is never modified. */
  getSnapshot(): T;
}

/** A handle of a group. Handles of one group share one subscription, which ends a second after the last is closed. */
export interface GroupHandle<Attributes = unknown, State = unknown>
  extends ReadableStore<GroupSnapshot<Attributes, State>> {
  readonly id: string;
  /**
   * Calls fn for each event of a type, once and in order; for `event`, `signal`, `signal:<type>`, `reset` and `read`, see
   * {@link Told}. The snapshot already has the event. Returns a function that ends this.
   */
  on<Name extends keyof Told | `signal:${string}`>(name: Name, fn: (told: ToldBy<Name>) => void): () => void;
  on(name: string, fn: (event: Event) => void): () => void;
  /**
   * Posts a message. It is kept until the server has answered, over any number of connections, and is made once. Posts
   * of a group keep their order. Rejects with the server's error.
   */
  post(type: string, data: unknown): Promise<Event>;
  /** Sends a signal to all subscribers, or to some users. It is sent at most once, and not at all without a connection. */
  signal(type: string, data?: unknown, options?: { to?: readonly string[] }): Promise<void>;
  /** Sets the user's live state, or clears it with null. It is set again after each reconnect. */
  present(state: State | null): Promise<void>;
  /** Moves the user's read mark to a version, by default that of the last event. */
  read(version?: number): Promise<void>;
  /** Makes a call about this group. */
  call<Name extends GroupCallName>(name: Name, ...args: Given<GroupCallArguments<Name>>): Promise<CallAnswer<Name>>;
  /** Subscribes again, after the group was closed. A successful call of join-group or accept-… does this, too. */
  retry(): void;
  /** Gives the handle back. */
  close(): void;
}

export interface MineHandle extends ReadableStore<MineSnapshot> {
  /** Reads the list again. */
  refresh(): void;
}

/** A client: one connection, and the stores that live on it. It connects when the first store is used. */
export interface Moim extends ReadableStore<ConnectionSnapshot> {
  readonly status: Status;
  /** The id of the user, once a token is known. */
  readonly userId: string | undefined;
  /** Returns a handle of a group. Close it when you no longer need it. */
  group<Attributes = unknown, State = unknown>(id: string): GroupHandle<Attributes, State>;
  /** The store of the user's own groups. */
  mine(): MineHandle;
  /** Makes a call over HTTP: its name is the operationId in the server's OpenAPI document. */
  call<Name extends CallName>(name: Name, ...args: Given<CallArguments<Name>>): Promise<CallAnswer<Name>>;
  /** Connects now. Needed only after the status `refused`. */
  connect(): void;
  /** Closes the connection. Posts that wait are rejected. */
  close(): void;
}

/** createMoim returns a client. It does not connect yet. */
export function createMoim(options: MoimOptions): Moim {
  return new Client(options);
}

/** Calls that change whose groups are whose. */
const moves = /^(create|delete|join|leave|accept|transfer)-/;
/** Calls after which the user may be a member of a group whose store is closed. */
const joins = /^(join-group|accept-)/;

/** A group's store, and how many handles hold it. */
interface Held {
  store: GroupStore;
  count: number;
  cancel: () => void; // ends the wait before it is released
}

export class Client implements Moim {
  readonly subscribe: (fn: () => void) => () => void;
  readonly getSnapshot: () => ConnectionSnapshot;
  private readonly stores = new Map<string, Held>();
  private readonly connection: Connection;
  private readonly tokens: Tokens;
  private readonly http: Http;
  private readonly outbox: Outbox;
  private readonly own: MineStore;
  private readonly deps: GroupDeps;
  private user: string | undefined; // of the last connection

  constructor(options: MoimOptions) {
    const { socket } = options;
    const base = (options.url ?? (socket && urlOf(socket)))?.replace(/\/+$/, "");
    if (base === undefined) throw new Error("there is no url: pass one to createMoim");
    const fetch = options.fetch ?? env.fetch;
    const WebSocket = options.WebSocket ?? env.WebSocket;
    if (!fetch) throw new Error("there is no fetch here: pass one to createMoim");
    const clock = new Clock();
    this.tokens = new Tokens(options.getToken ?? (socket && tokensOf(socket)), clock.now, options.userId);
    this.http = new Http(base, fetch, this.tokens, clock);
    if (!socket && !WebSocket) {
      throw new Error("there is no WebSocket here: pass one to createMoim, in Node.js 20 that of the package ws");
    }
    const driver = socket
      ? new SocketIODriver(socket, this.tokens)
      : new WebSocketDriver(`${base.replace(/^http/, "ws")}/ws`, WebSocket as WebSocketClass, this.tokens, this.http);
    this.connection = new Connection(driver, this.tokens);
    this.subscribe = this.connection.subscribe;
    this.getSnapshot = this.connection.getSnapshot;
    this.connection.events.on("up", () => this.checkUser());
    this.own = new MineStore(this.connection, this.http, () => this.connection.start());
    this.deps = {
      connection: this.connection,
      http: this.http,
      clock,
      mine: this.own,
      userId: () => this.tokens.userId,
      maxMembers: options.maxMembers ?? 10_000,
    };
    const each = (fn: (store: GroupStore) => void) => () => {
      for (const { store } of this.stores.values()) fn(store);
    };
    this.connection.events.on(
      "up",
      each((store) => store.up()),
    );
    this.connection.events.on("up", () => this.own.up());
    // Last: posts of another user are given up first, and listeners are told of a post that waited for the connection.
    this.outbox = new Outbox(this.connection);
    this.connection.events.on(
      "down",
      each((store) => store.down()),
    );
    this.connection.events.on("push", ({ event, data }: { event: string; data: unknown }) => {
      if (event === "group:mine") return this.own.refresh();
      const { groupId } = (data ?? {}) as { groupId?: string };
      if (groupId !== undefined) this.stores.get(groupId)?.store.push(event, data);
    });
  }

  get status(): Status {
    return this.getSnapshot().status;
  }

  get userId(): string | undefined {
    return this.tokens.userId;
  }

  group<A, S>(id: string): GroupHandle<A, S> {
    return this.handle(id, this.hold(id));
  }

  /** handle returns a handle that holds nothing. close is called when it is closed. */
  handle<A, S>(id: string, close: () => void): GroupHandle<A, S> {
    const store = () => this.peek(id);
    return {
      id,
      subscribe: (fn) => store().subscribe(fn),
      getSnapshot: () => store().getSnapshot() as GroupSnapshot<A, S>,
      on: (name: string, fn: (told: never) => void) => store().events.on(name, fn),
      post: (type, data) => this.post(id, type, data),
      signal: (type, data, options) => store().signal(type, data, options?.to),
      present: (state) => store().present(state),
      read: (version) => store().read(version),
      call: (name, args?: object) => this.call(name, { ...args, groupId: id } as never) as Promise<never>,
      retry: () => store().retry(),
      close,
    };
  }

  mine(): MineHandle {
    const { own } = this;
    return { subscribe: own.subscribe, getSnapshot: own.getSnapshot, refresh: () => own.refresh() };
  }

  async call<Name extends CallName>(name: Name, ...[args]: readonly [CallArguments<Name>?]): Promise<CallAnswer<Name>> {
    const given = (args ?? {}) as CallArguments<Name> & { groupId?: string };
    const answer = await this.http.call(name, given);
    if (moves.test(name)) this.own.refresh();
    if (joins.test(name) && given.groupId !== undefined) this.stores.get(given.groupId)?.store.retry();
    return answer;
  }

  connect(): void {
    this.connection.start(true);
  }

  close(): void {
    for (const { store, cancel } of this.stores.values()) {
      cancel();
      store.stop();
    }
    this.stores.clear();
    this.own.stop();
    this.connection.stop();
    this.outbox.clear(new MoimError("closed", "the client was closed"));
  }

  /** hold keeps a group's store, and connects, until the returned function is called. */
  hold(id: string): () => void {
    const entry = this.entry(id);
    entry.count++;
    entry.cancel();
    this.connection.start();
    let held = true;
    return () => {
      if (held && --entry.count === 0) this.release(id, entry);
      held = false;
    };
  }

  /** peek returns a group's store. It lives for a moment if nobody holds it, and connects nothing. */
  peek(id: string): GroupStore {
    return this.entry(id).store;
  }

  private entry(id: string): Held {
    let entry = this.stores.get(id);
    if (!entry) {
      entry = { store: new GroupStore(id, this.deps), count: 0, cancel: () => {} };
      this.stores.set(id, entry);
      this.release(id, entry);
    }
    return entry;
  }

  private release(id: string, entry: Held): void {
    entry.cancel = later(releaseAfter, () => {
      if (this.stores.get(id) !== entry) return; // the client was closed meanwhile
      this.stores.delete(id);
      entry.store.stop();
    });
  }

  private post(groupId: string, type: string, data: unknown): Promise<Event> {
    this.connection.start();
    return this.outbox.post(groupId, type, data);
  }

  /** checkUser forgets what belongs to another user, if the token's user has changed. */
  private checkUser(): void {
    const user = this.userId;
    if (this.user !== undefined && this.user !== user) {
      this.outbox.clear(new MoimError("closed", "the user changed"));
      this.own.clear();
      for (const { store } of this.stores.values()) store.forget();
    }
    this.user = user;
  }
}
