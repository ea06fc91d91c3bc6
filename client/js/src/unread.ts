import type { Event, Membership } from "./types.js";

const most = 1_000; // events that are kept

/** Unread counts the messages after the user's read mark: what the server counted, and the events since. */
export class Unread {
  count: number | null = null;
  readVersion = 0;

  private counted = 0; // the version of the group when the server counted
  private recent: Event[] = []; // events that matter
  private from = 0; // recent has all of them after this version
  private head = 0;

  /** begin starts at a version, because events before it were skipped. */
  begin(version: number): void {
    this.recent = [];
    this.from = this.head = version;
  }

  /** reset forgets everything. */
  reset(): void {
    this.count = null;
    this.readVersion = this.counted = 0;
    this.begin(0);
  }

  /** apply counts an event, and reports whether the count changed. */
  apply(event: Event, userId: string | undefined): boolean {
    this.head = event.version;
    if (event.type !== "message.posted" && event.type !== "message.deleted") return false;
    this.recent.push(event);
    if (this.recent.length > most) this.from = this.recent.shift()?.version ?? this.from;
    return this.add(event, userId);
  }

  /** load takes what the server counted. It returns false if that is too old. */
  load({ version, unread, readVersion }: Membership, userId: string | undefined): boolean {
    if (version < this.from) return false;
    if (readVersion < this.readVersion) return true; // the mark has moved since
    this.count = unread;
    this.readVersion = readVersion;
    this.counted = version;
    for (const event of this.recent) this.add(event, userId);
    return true;
  }

  /** read moves the mark. It returns false if the count is not known afterwards. */
  read(version: number): boolean {
    if (version <= this.readVersion) return true;
    this.readVersion = version;
    if (version < this.head) return false;
    this.count = 0;
    this.counted = version;
    return true;
  }

  private add({ version, type, actor, data }: Event, userId: string | undefined): boolean {
    if (version <= this.counted || this.count === null) return false;
    const before = this.count;
    if (type === "message.posted") {
      const own = actor !== null && actor === userId; // posting moves the own mark
      this.count = own ? 0 : this.count + 1;
      if (own) this.readVersion = version;
    } else if ((data as { version: number }).version > this.readVersion) {
      this.count = Math.max(0, this.count - 1);
    }
    return this.count !== before;
  }
}
