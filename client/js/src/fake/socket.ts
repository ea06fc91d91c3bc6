import type { Answer } from "../driver.js";
import type { WebSocketClass, WebSocketLike } from "../env.js";
import { type FakeServer, notFound, notMember, Refusal } from "./server.js";
import { userOf } from "./token.js";

/** A connection to a fake server, as the server sees it. */
export interface FakeSocket {
  readonly userId: string;
  readonly groups: Set<string>;
  mine: boolean; // it is told of the user's memberships
  push(event: string, data: unknown): void;
  end(code: number): void;
}

/** fakeWebSocket returns a WebSocket class whose connections lead to the server. */
export function fakeWebSocket(server: FakeServer): WebSocketClass {
  return class implements WebSocketLike, FakeSocket {
    onopen: ((event: unknown) => void) | null = null;
    onmessage: ((event: { data: string }) => void) | null = null;
    onerror: ((event: unknown) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;
    readonly userId: string;
    readonly groups = new Set<string>();
    mine = false;
    private line = Promise.resolve(); // what happens next, in order

    constructor(_url: string, protocols: string[]) {
      const token = protocols.find((name) => name.startsWith("bearer."))?.slice("bearer.".length) ?? "";
      this.userId = userOf(token);
      this.later(() => {
        if (server.frozen) return;
        if (server.refused !== undefined) return this.onclose?.({ code: 1006 });
        server.sockets.add(this);
        this.onopen?.({});
      });
    }

    send(text: string): void {
      if (server.frozen) return;
      const { id, event, data } = JSON.parse(text) as { id: number; event: string; data: Request };
      this.later(() => {
        if (!server.sockets.has(this)) return;
        server.received.push({ userId: this.userId, event, data });
        const after: (() => void)[] = [];
        this.tell({ id, ...this.answer(event, data, after) });
        for (const fn of after) fn();
      });
    }

    close(): void {
      server.sockets.delete(this);
    }

    push(event: string, data: unknown): void {
      this.tell({ event, data });
    }

    end(code: number): void {
      server.sockets.delete(this);
      this.later(() => this.onclose?.({ code }));
    }

    private tell(message: object): void {
      if (server.frozen) return;
      const text = JSON.stringify(message);
      this.later(() => this.onmessage?.({ data: text }));
    }

    private later(fn: () => void): void {
      this.line = this.line.then(fn);
    }

    private answer(event: string, data: Request, after: (() => void)[]): Answer {
      const error = server.failure(event);
      if (error) return { error };
      try {
        if (data.key === undefined) return { data: this.handle(event, data, after) };
        if (!server.answers.has(data.key)) server.answers.set(data.key, this.handle(event, data, after));
        return { data: server.answers.get(data.key) };
      } catch (err) {
        if (err instanceof Refusal) return { error: err.error };
        throw err;
      }
    }

    private handle(event: string, data: Request, after: (() => void)[]): unknown {
      const { userId } = this;
      if (event === "auth") return { expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
      if (event === "group:mine") {
        this.mine = true;
        return {};
      }
      if (event === "group:unsubscribe") {
        if (this.groups.delete(data.groupId)) this.leavePresence(data.groupId);
        return {};
      }
      const group = server.groups.get(data.groupId);
      if (!group) throw notFound();
      const member = group.members.get(userId);
      if (!member) throw notMember();
      switch (event) {
        case "group:subscribe": {
          const head = group.log.length;
          const snapshot = data.since !== undefined && (data.since < group.first - 1 || data.since > head);
          const version = data.since === undefined || snapshot ? head : data.since;
          this.groups.add(data.groupId);
          for (const missed of group.log.slice(version)) after.push(() => this.push("group:event", missed));
          server.present(data.groupId, { ...group.present.get(userId), userId, status: "online" });
          const items = [...group.present.values()];
          const online = items.filter(({ status }) => status === "online").length;
          return {
            group: { ...group.record, version: head },
            version,
            presence: { online, items },
            ...(snapshot ? { snapshot } : {}),
          };
        }
        case "group:message":
          return server.post(data.groupId, userId, data.type ?? "message", data.data);
        case "group:signal":
          for (const socket of server.sockets) {
            if (socket !== this && socket.groups.has(data.groupId) && (data.to?.includes(socket.userId) ?? true)) {
              socket.push("group:signal", { groupId: data.groupId, from: userId, type: data.type, data: data.data });
            }
          }
          return {};
        case "group:read":
          member.readVersion = Math.max(member.readVersion, data.version ?? 0);
          return {};
        case "presence:set":
          server.present(data.groupId, {
            userId,
            status: "online",
            ...(data.state === null ? {} : { state: data.state }),
          });
          return {};
        default:
          throw new Refusal(404, { code: "unknown_event", message: "there is no event of this name" });
      }
    }

    private leavePresence(groupId: string): void {
      const others = [...server.sockets].some((socket) => socket.userId === this.userId && socket.groups.has(groupId));
      if (!others && server.groups.has(groupId))
        server.present(groupId, { userId: this.userId, status: "offline", reason: "left" });
    }
  };
}

interface Request {
  groupId: string;
  key?: string;
  since?: number;
  type?: string;
  data?: unknown;
  to?: string[];
  version?: number;
  state?: unknown;
}
