export { type ClientOptions, MoimClient } from "./client.js";
export { type FieldError, MoimError } from "./contract/errors.js";
export type { CallAnswer, CallArguments, CallName, Event, EventData } from "./contract/types.js";
export type { Delivery, PresenceChange, PresenceDelivery } from "./deliveries.js";
export { type MoimAsyncOptions, MoimModule, type MoimOptions, type MoimRoute, OnGroup } from "./module.js";
