export type { GroupHandle, MineHandle, Moim, MoimOptions, ReadableStore } from "./client.js";
export { createMoim } from "./client.js";
export type { Fetch, FetchAnswer, WebSocketClass, WebSocketLike } from "./env.js";
export type { FieldError } from "./errors.js";
export { MoimError } from "./errors.js";
export type { SocketIOLike } from "./socketio.js";
export type { GetToken, TokenReason } from "./tokens.js";
export type {
  CallAnswer,
  CallArguments,
  CallName,
  ConnectionSnapshot,
  Event,
  EventData,
  Group,
  GroupCallArguments,
  GroupCallName,
  GroupSnapshot,
  Member,
  Membership,
  MineSnapshot,
  Phase,
  Present,
  ReadMark,
  Signal,
  Status,
  Told,
  ToldBy,
} from "./types.js";
