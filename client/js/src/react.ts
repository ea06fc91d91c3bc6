// The package moim-client/react.
import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useInsertionEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from "react";
import type { Client, GroupHandle, Moim, ReadableStore } from "./client.js";
import type { GroupStore } from "./group.js";
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
  const store = useMemo(
    () => ({
      subscribe: (fn: () => void) => holding(client, id, (group) => group.subscribe(fn)),
      getSnapshot: () => client.peek(id).getSnapshot(),
    }),
    [client, id],
  );
  return useStore(store, noGroup, select);
}

/** useGroupHandle returns a handle of a group, to post and to call. The component holds it while it is mounted. */
export function useGroupHandle<Attributes = unknown, State = unknown>(id: string): GroupHandle<Attributes, State> {
  const client = useMoim() as Client;
  useEffect(() => client.hold(id), [client, id]);
  return useMemo(() => client.handle(id, () => {}), [client, id]);
}

/** useMine returns the user's own groups, or what select takes of them. */
export function useMine(): MineSnapshot;
export function useMine<Selected>(select: (mine: MineSnapshot) => Selected): Selected;
export function useMine(select?: (mine: MineSnapshot) => unknown): unknown {
  const client = useMoim();
  const mine = useMemo(() => client.mine(), [client]);
  return useStore(mine, noMine, select);
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
  useInsertionEffect(() => {
    latest.current = fn; // with the page: an event may come before other effects
  });
  useEffect(
    () => holding(client, id, (group) => group.events.on(name, (told: never) => latest.current(told))),
    [client, id, name],
  );
}

/** holding holds a group until the returned function is called, which also ends what begin has begun. */
function holding(client: Client, id: string, begin: (group: GroupStore) => () => void): () => void {
  const release = client.hold(id);
  const end = begin(client.peek(id));
  return () => {
    end();
    release();
  };
}

/** useStore is useSyncExternalStore with a selector. */
function useStore<T>(store: ReadableStore<T>, initial: T, select: ((value: T) => unknown) | undefined): unknown {
  const shown = useRef<{ value: unknown }>(undefined);
  const [read, readInitial] = useMemo(() => {
    let last: { of: T; value: unknown } | undefined;
    const take = (of: T): unknown => {
      if (!select) return of;
      if (last?.of === of) return last.value;
      const value = select(of);
      const before = last ?? shown.current;
      last = { of, value: before && same(before.value, value) ? before.value : value };
      return last.value;
    };
    return [() => take(store.getSnapshot()), () => take(initial)];
  }, [store, initial, select]);
  const value = useSyncExternalStore(store.subscribe, read, readInitial);
  useEffect(() => {
    shown.current = { value };
  }, [value]);
  return value;
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
