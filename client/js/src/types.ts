import type { components as sent } from "./generated/asyncapi.js";
import type { components, operations } from "./generated/openapi.js";
import type { calls } from "./generated/operations.js";

type Schemas = components["schemas"];
type Sent = sent["schemas"]; // over sockets

/** The record of a group. Its version is `version` of the snapshot. */
export type Group<Attributes = unknown> = Omit<Schemas["Group"], "version" | "attributes"> & { attributes: Attributes };

/** A member of a group. readVersion is set if the group has readReceipts. */
export type Member = Omit<Schemas["ListedMember"], "status">;

/** One of the user's own groups. */
export type Membership<Attributes = unknown> = Omit<Schemas["Membership"], "attributes"> & { attributes: Attributes };

/** One stored change of a group. A later version of Moim may have types that are not listed here. */
export interface Event<Data = unknown, Type extends string = string> extends Omit<Sent["Event"], "type" | "data"> {
  type: Type;
  data: Data;
}

/** A message of another socket that is not stored. */
export interface Signal<Data = unknown> extends Omit<Sent["SentSignal"], "data"> {
  data: Data;
}

/** What is known about a member's presence. */
export interface Present<State = unknown> extends Omit<Sent["Present"], "status" | "state"> {
  status: Sent["Present"]["status"] | (string & {});
  /** Why the status changed, if it changed while this client was subscribed. */
  reason?: string;
  /** What the member set with present(). */
  state?: State;
}

/** How far a member has read. */
export type ReadMark = Sent["ReadMark"];

/**
 * The data of the events that this version of the client knows, by type. If an event is about a user who has been erased
 * since, its userId is null.
 */
export type EventData = Sent["EventData"];

/** The answer to a subscription. */
export type Subscription = Sent["SubscribeAnswer"];

/** What on() tells, by name. */
export interface Told extends OfEvents {
  /** Every event, known or not. */
  event: Event;
  /** Every signal. `signal:<type>` names the signals of one type. */
  signal: Signal;
  /** The store has started from a snapshot: events before its version were skipped. Forget what you made of events. */
  reset: { version: number };
  /** Read marks that have moved, in groups with readReceipts. */
  read: readonly ReadMark[];
}

type OfEvents = { [Type in keyof EventData]: Event<EventData[Type], Type> };

/** ToldBy is what a listener of on(name) receives. */
export type ToldBy<Name extends string> = Name extends keyof Told
  ? Told[Name]
  : Name extends `signal:${string}`
    ? Signal
    : Event;

/**
 * - `joining`: the group or its members are not known yet.
 * - `live`: the snapshot is what the server has.
 * - `catching-up`: the snapshot may be old: the connection is lost, or missed events are on their way.
 * - `closed`: no more changes will come; `why` says why.
 */
export type Phase = "joining" | "live" | "catching-up" | "closed";

/** A group as it is known now. Snapshots and what they hold are never modified. */
export interface GroupSnapshot<Attributes = unknown, State = unknown> {
  phase: Phase;
  /**
   * Of a closed group: `left`, `removed`, `banned`, `deleted`, an error code such as `not_found`, or a reason of the
   * server. While joining: the code of the error that is being retried.
   */
  why?: string;
  group: Group<Attributes> | undefined;
  /** The user's own membership. */
  me: Member | undefined;
  members: ReadonlyMap<string, Member>;
  /** false if the group has more members than maxMembers: then members has some of them. */
  membersComplete: boolean;
  present: ReadonlyMap<string, Present<State>>;
  /** How many members are online, or null while this is not known. A large group tells only this number. */
  online: number | null;
  /** The version of the last event that was applied. */
  version: number;
  /** Messages after the user's read mark, or null while this is not known. */
  unread: number | null;
  /** The server's clock, in milliseconds since 1970, as far as it is known. */
  serverNow: () => number;
}

export interface MineSnapshot {
  phase: "loading" | "live" | "catching-up";
  /** The code of the error that is being retried. */
  why?: string;
  groups: readonly Membership[];
}

/**
 * - `connecting`: the first attempt, or the first one after a loss.
 * - `online`
 * - `offline`: attempts failed; the client goes on trying.
 * - `refused`: the client does not try again by itself; `why` says why.
 */
export type Status = "connecting" | "online" | "offline" | "refused";

export interface ConnectionSnapshot {
  status: Status;
  /**
   * Of a refused client: `no_token` (getToken gave none), `unauthenticated` (the server refuses the tokens), `revoked`,
   * `disconnected` (by a back end), `rate_limited`, or `closed` (by close). Of an offline one: the code of the last
   * failure.
   */
  why?: string;
}

/** The name of a call: the operationId in the OpenAPI document. */
export type CallName = keyof typeof calls & keyof operations;

type Flat<T> = { [K in keyof T]: T[K] };
type Part<T, K extends string> = T extends { [P in K]?: infer V }
  ? [V] extends [undefined]
    ? unknown
    : NonNullable<V> extends never
      ? unknown
      : NonNullable<V>
  : unknown;
type Parameters<O> = O extends { parameters: infer P } ? Part<P, "path"> & Part<P, "query"> : unknown;
type Body<O> = O extends { requestBody?: infer B }
  ? NonNullable<B> extends { content: { "application/json": infer J } }
    ? J
    : unknown
  : unknown;
type Json<R> = R extends { content: { "application/json": infer J } } ? J : undefined;
type Answers<O> = O extends { responses: infer R } ? { [S in keyof R]: Json<R[S]> }[keyof R] : never;

interface CallOptions {
  /** An idempotency key. Without one, the client makes one for each call that takes one. */
  key?: string;
  /** The revision of the group that the change is for. */
  ifMatch?: number;
}

/** The arguments of a call: its path, its query and its body in one object. */
export type CallArguments<Name extends CallName> = Flat<Parameters<operations[Name]> & Body<operations[Name]>> &
  CallOptions;

/** The answer to a call: undefined if it has no body. */
export type CallAnswer<Name extends CallName> = Answers<operations[Name]>;

/** The calls about one group. */
export type GroupCallName = { [N in CallName]: CallArguments<N> extends { groupId: string } ? N : never }[CallName];

/** The arguments of a call about one group. */
export type GroupCallArguments<Name extends GroupCallName> = Flat<Omit<CallArguments<Name>, "groupId">>;
