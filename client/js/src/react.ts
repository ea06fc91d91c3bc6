// The package moim-client/react.
import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useSyncExternalStore,
} from "react";
import type { Client, Moim } from "./client.js";
import type { ConnectionSnapshot, Event, GroupSnapshot, MineSnapshot, Told, ToldBy } from "./types.js";

const Context = createContext<Moim | undefined>(undefined);

/** MoimProvider gives a client to the components below it. */
export function MoimProvider({ client, children }: { client: Moim; children?: ReactNode }): ReactNode {
  return createElement(Context.Provider, { value: client }, children);
}

/** useMoim returns the client of the nearest MoimProvider. */
export function useMoim(): Moim {
  const client = useContext(Context);
  if (!client) throw new Error("there is no MoimProvider around this component");
  return client;
}

// What a server renders, and a browser while it takes over the server's page.
const noGroup: GroupSnapshot = {
  phase: "joining",
  group: undefined,
  me: undefined,
  members: new Map(),
  membersComplete: true,
  present: new Map(),
  online: null,
  version: 0,
  unread: null,
  serverNow: Date.now,
};
const noMine: MineSnapshot = { phase: "loading", groups: [] };
const noStatus: ConnectionSnapshot = { status: "connecting" };

/** useStatus returns the state of the connection. */
export function useStatus(): ConnectionSnapshot {
  const client = useMoim();
  return useSyncExternalStore(client.subscribe, client.getSnapshot, () => noStatus);
}

/**
 * useGroup returns a group as it is now, or what select takes of it. The component renders again only if that changes,
 * compared by Object.is, or by the fields of an object or array that select makes. The group stays subscribed while a
 * component uses it.
 */
export function useGroup<Attributes = unknown, State = unknown>(id: string): GroupSnapshot<Attributes, State>;
export function useGroup<Selected, Attributes = unknown, State = unknown>(
  id: string,
  select: (group: GroupSnapshot<Attributes, State>) => Selected,
): Selected;
export function useGroup(id: string, select?: (group: GroupSnapshot) => unknown): unknown {
  const client = useMoim() as Client;
  return useStore(
    id,
    client,
    (fn) => {
      const release = client.hold(id);
      const off = client.peek(id).subscribe(fn);
      return () => {
        off();
        release();
      };
    },
    () => client.peek(id).getSnapshot(),
    noGroup,
    select,
  );
}

/** useMine returns the user's own groups, or what select takes of them. */
export function useMine(): MineSnapshot;
export function useMine<Selected>(select: (mine: MineSnapshot) => Selected): Selected;
export function useMine(select?: (mine: MineSnapshot) => unknown): unknown {
  const client = useMoim();
  const mine = client.mine();
  return useStore("mine", client, mine.subscribe, mine.getSnapshot, noMine, select);
}

/** useGroupEvent calls fn for each event of a type while the component is mounted. fn may be a new function each time. */
export function useGroupEvent<Name extends keyof Told | `signal:${string}`>(
  id: string,
  name: Name,
  fn: (told: ToldBy<Name>) => void,
): void;
export function useGroupEvent(id: string, name: string, fn: (event: Event) => void): void;
export function useGroupEvent(id: string, name: string, fn: (told: never) => void): void {
  const client = useMoim() as Client;
  const latest = useRef(fn);
  useEffect(() => {
    latest.current = fn;
  });
  useEffect(() => {
    const release = client.hold(id);
    const off = client.peek(id).events.on(name, (told: never) => latest.current(told));
    return () => {
      off();
      release();
    };
  }, [client, id, name]);
}

/** useStore is useSyncExternalStore with a selector. key names the store of the client. */
function useStore<T>(
  key: string,
  client: Moim,
  subscribe: (fn: () => void) => () => void,
  getSnapshot: () => T,
  initial: T,
  select: ((value: T) => unknown) | undefined,
): unknown {
  // React subscribes again if the function changes: only when the store is another one.
  const kept = useRef<{ key: string; client: Moim; subscribe: typeof subscribe }>(undefined);
  if (kept.current?.key !== key || kept.current.client !== client) kept.current = { key, client, subscribe };
  const last = useRef<{ of: T; select: typeof select; value: unknown }>(undefined);
  const read = () => {
    const of = getSnapshot();
    if (!select) return of;
    const before = last.current;
    if (before?.of === of && before.select === select) return before.value;
    const made = select(of);
    const value = before && same(before.value, made) ? before.value : made;
    last.current = { of, select, value };
    return value;
  };
  const first = useRef<{ value: unknown }>(undefined);
  const readFirst = () => {
    first.current ??= { value: select ? select(initial) : initial };
    return first.current.value;
  };
  return useSyncExternalStore(kept.current.subscribe, read, readFirst);
}

/** same compares two values, and the fields of plain objects and arrays. */
function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  const proto = Object.getPrototypeOf(a) as unknown;
  if (proto !== Object.getPrototypeOf(b) || (proto !== Object.prototype && proto !== Array.prototype)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key as never], b[key as never]));
}
