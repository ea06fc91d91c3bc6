import type { Fetch, FetchAnswer } from "../env.js";
import { calls } from "../generated/operations.js";
import type { Group } from "../types.js";
import { type FakeGroup, type FakeServer, notMember, Refusal } from "./server.js";
import { userOf } from "./token.js";

/** A request over HTTP: its path, its query and its body in one object. */
export interface FakeRequest {
  userId: string;
  args: Record<string, any>;
}

/** Answers a request. */
export type HttpHandler = (request: FakeRequest) => unknown;

const routes = Object.entries(calls).map(([name, [method, path]]) => {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");
  return { name, method, names, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, "([^/]+)")}$`) };
});

/** answerHttp answers a call like the server. */
export async function answerHttp(server: FakeServer, url: string, init: Parameters<Fetch>[1]): Promise<FetchAnswer> {
  await Promise.resolve();
  if (server.frozen) return new Promise(() => {});
  if (server.refused === "down") throw new Error("the fake server does not answer");
  try {
    if (server.refused === "token") throw new Refusal(401, { code: "unauthenticated" });
    return reply(200, handle(server, url.slice(server.url.length), init));
  } catch (err) {
    if (!(err instanceof Refusal)) throw err;
    return reply(err.status, { code: err.error.code, detail: err.error.message ?? "", status: err.status });
  }
}

function handle(server: FakeServer, url: string, init: Parameters<Fetch>[1]): unknown {
  const [path = "", query = ""] = url.split("?");
  for (const { name, method, names, pattern } of routes) {
    const match = method === init.method ? pattern.exec(path) : null;
    if (!match) continue;
    const args: Record<string, unknown> =
      init.body === undefined ? {} : (JSON.parse(init.body) as Record<string, unknown>);
    for (const pair of query.split("&")) {
      const [key = "", value = ""] = pair.split("=");
      if (key) args[key] = decodeURIComponent(value);
    }
    names.forEach((field, i) => {
      args[field] = decodeURIComponent(match[i + 1] ?? "");
    });
    const own = server.handlers.get(name) ?? builtIn(server)[name];
    if (!own)
      throw new Refusal(501, { code: "not_faked", message: `the fake server has no ${name}; add it with handle()` });
    return own({ userId: userOf((init.headers["Authorization"] ?? "").replace("Bearer ", "")), args });
  }
  throw new Refusal(404, { code: "not_found", message: path });
}

function builtIn(server: FakeServer): Record<string, HttpHandler> {
  const group = ({ userId, args }: FakeRequest): FakeGroup => {
    const found = server.group(args["groupId"]);
    if (!found.members.has(userId)) throw notMember();
    return found;
  };
  const whole = ({ record, log }: FakeGroup) => ({ ...record, version: log.length });
  return {
    "get-group": (request) => whole(group(request)),
    "create-group": ({ userId, args }) => whole(server.group(server.createGroup({ ...args, ownerId: userId }))),
    "update-group": (request) => {
      const {
        args: { groupId, ...change },
        userId,
      } = request;
      group(request);
      return server.update(groupId as string, change as Partial<Group>, userId);
    },
    "list-members": (request) => {
      const { members, log } = group(request);
      return {
        ...page(
          [...members.values()].map(({ readVersion: _, ...member }) => member),
          request,
        ),
        version: log.length,
      };
    },
    "get-presence": (request) => page([...group(request).present.values()], request),
    "join-group": ({ userId, args }) => server.join(args["groupId"], userId),
    "leave-group": ({ userId, args }) => server.leave(args["groupId"], userId),
    "add-members": (request) => {
      group(request);
      const items = (request.args["userIds"] as string[]).map((userId) => server.join(request.args["groupId"], userId));
      return { items, version: group(request).log.length };
    },
    "remove-member": (request) =>
      group(request) && server.leave(request.args["groupId"], request.args["userId"], "removed"),
    "ban-user": (request) => {
      group(request);
      const { groupId, userId } = request.args as { groupId: string; userId: string };
      server.leave(groupId, userId, "banned");
      return { userId, actor: request.userId, at: new Date().toISOString() };
    },
    "post-message": (request) =>
      group(request) &&
      server.post(request.args["groupId"], request.userId, request.args["type"] ?? "message", request.args["data"]),
    "my-groups": (request) => {
      const own = [...server.groups.values()].filter(({ members }) => members.has(request.userId));
      const items = own.map((found) => {
        const { readVersion = 0, role } = found.members.get(request.userId) ?? {};
        const unread = found.log.filter(
          ({ type, version }) => type === "message.posted" && version > readVersion,
        ).length;
        const online = [...found.present.values()].filter(({ status }) => status === "online").length;
        return { ...whole(found), role, readVersion, unread, online };
      });
      return page(items, request);
    },
  };
}

function page<T>(items: T[], { args }: FakeRequest): { items: T[]; nextCursor?: string } {
  const from = Number(args["cursor"] ?? 0);
  const to = from + Number(args["limit"] ?? 50);
  return { items: items.slice(from, to), ...(to < items.length ? { nextCursor: String(to) } : {}) };
}

function reply(status: number, body: unknown): FetchAnswer {
  const text = body === undefined ? "" : JSON.stringify(body);
  return {
    status,
    headers: { get: (name) => (name === "Date" ? new Date().toUTCString() : null) },
    text: () => Promise.resolve(text),
  };
}
