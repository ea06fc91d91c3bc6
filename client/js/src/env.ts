// What the client uses of its environment. TypeScript's DOM library is not needed: React Native and Node.js do not have
// the DOM.

/** The part of the standard WebSocket that the client uses. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** A WebSocket class: the browser's, React Native's, or that of the package `ws` in Node.js 20. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** The part of the standard fetch that the client uses. */
export type Fetch = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal?: any; redirect?: "error" },
) => Promise<FetchAnswer>;

export interface FetchAnswer {
  status: number;
  headers: { get(name: string): string | null };
  text(): Promise<string>;
}

interface Target {
  addEventListener?(name: string, listener: () => void): void;
  removeEventListener?(name: string, listener: () => void): void;
}

interface Globals extends Target {
  WebSocket?: WebSocketClass;
  fetch?: Fetch;
  crypto?: { randomUUID?(): string };
  AbortController?: new () => { signal: unknown; abort(): void };
  document?: Target & { visibilityState?: string };
  console: { error(...args: unknown[]): void };
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  atob(text: string): string;
}

export const env = globalThis as unknown as Globals;

/** later runs fn after some milliseconds. It returns a function that cancels this. */
export function later(ms: number, fn: () => void): () => void {
  const timer = env.setTimeout(fn, ms);
  return () => env.clearTimeout(timer);
}

/** sleep resolves after some milliseconds. */
export const sleep = (ms: number): Promise<void> => new Promise((done) => later(ms, done));

/** within rejects with an error if a promise is not settled in time. */
export function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = later(ms, () => reject(late()));
    promise.then(resolve, reject).finally(cancel);
  });
}

/** newKey returns an idempotency key that nobody else has. */
export function newKey(): string {
  return (
    env.crypto?.randomUUID?.() ??
    `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`
  );
}

/** hidden reports whether the user cannot see the page now. */
export const hidden = (): boolean => env.document?.visibilityState === "hidden";

/**
 * onWake calls fn when the page becomes visible, is shown again, or has a network again. It does nothing where these
 * events do not exist. It returns a function that ends this.
 */
export function onWake(fn: () => void): () => void {
  const visible = () => hidden() || fn();
  const targets: [Target | undefined, string, () => void][] = [
    [env, "online", fn],
    [env, "pageshow", fn],
    [env.document, "visibilitychange", visible],
  ];
  for (const [target, name, listener] of targets) target?.addEventListener?.(name, listener);
  return () => {
    for (const [target, name, listener] of targets) target?.removeEventListener?.(name, listener);
  };
}

/** guarded calls a function of the program. An error in it is the program's, and must not stop the client. */
export function guarded<T extends unknown[]>(fn: (...args: T) => void, ...args: T): void {
  try {
    fn(...args);
  } catch (err) {
    env.console.error("moim: a listener failed:", err);
  }
}
