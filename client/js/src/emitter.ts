import { guarded } from "./env.js";

type Listener = (value: never) => void;

/** Listeners by name. A listener that is added or removed during a call of emit counts from the next one on. */
export class Emitter {
  private readonly listeners = new Map<string, readonly Listener[]>();

  /** on adds a listener and returns a function that removes it. Adding a function twice calls it twice. */
  on<T>(name: string, listener: (value: T) => void): () => void {
    const own: Listener = (value) => listener(value);
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), own]);
    return () => {
      const left = (this.listeners.get(name) ?? []).filter((other) => other !== own);
      if (left.length > 0) this.listeners.set(name, left);
      else this.listeners.delete(name);
    };
  }

  emit(name: string, value?: unknown): void {
    for (const listener of this.listeners.get(name) ?? []) guarded(listener, value as never);
  }
}

/** The heart of a store: who is told of a change, and the last snapshot, which is made when somebody asks. */
export abstract class Store<T> {
  private readonly changes = new Emitter();
  private snapshot: T | undefined;

  protected abstract make(previous: T | undefined): T;

  /** subscribe calls fn after each change. It returns a function that ends this. */
  readonly subscribe = (fn: () => void): (() => void) => this.changes.on("", fn);

  /** getSnapshot returns the state. It is the same object until the state changes, and is never modified. */
  readonly getSnapshot = (): T => {
    if (this.snapshot === undefined || this.stale) {
      this.snapshot = this.make(this.snapshot);
      this.stale = false;
    }
    return this.snapshot;
  };

  private stale = false;

  /** touch says that the state has changed, without telling anybody yet. */
  protected touch(): void {
    this.stale = true;
  }

  /** tell tells the subscribers if the state has changed. */
  protected tell(): void {
    if (this.stale) this.changes.emit("");
  }
}
