import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type FieldError, MoimError } from "./contract/errors.js";
import { calls } from "./contract/generated/operations.js";
import type { CallAnswer, CallArguments, CallName } from "./contract/types.js";
import { BackendTokens, signToken } from "./tokens.js";

const attempts = 5;
const answerWithin = 15_000;
const firstWait = 100;
const longWait = 10_000;
const repeatable = new Set([429, 502, 503, 504]);

export interface ClientOptions {
  /** Of a node or a load balancer, such as https://moim.example. */
  url: string;
  /** Moim's auth.secret. */
  secret: string;
  /** Who changes things, in events and in the audit log. The default is `nest`. */
  name?: string;
}

/** MoimClient calls Moim as a back end. */
export class MoimClient {
  private readonly base: string;
  private readonly tokens: BackendTokens;

  constructor(private readonly options: ClientOptions) {
    if (!/^https?:\/\/[^/]/.test(options.url)) throw new Error(`url must be like https://moim.example: ${options.url}`);
    this.base = options.url.replace(/\/+$/, "");
    this.tokens = new BackendTokens(options.secret, options.name ?? "nest");
    this.tokens.current(); // a wrong secret fails at the start
  }

  /** sign returns a token with which a user connects. ttl is in seconds, an hour by default. */
  sign(userId: string, { name, ttl = 3600 }: { name?: string; ttl?: number } = {}): string {
    if (userId === "") throw new Error("the id of the user is empty");
    return signToken(this.options.secret, { sub: userId, ...(name ? { name } : {}) }, ttl);
  }

  /**
   * call makes one call of the API, by its operationId. The arguments are its path, query and body in one object. It
   * repeats a call that was not answered, or that the server asks to repeat.
   */
  async call<Name extends CallName>(name: Name, args: CallArguments<Name>): Promise<CallAnswer<Name>> {
    const { method, path, headers, body } = request(name, args as Record<string, unknown>);
    let lost = false; // whether an earlier attempt may have been carried out
    for (let n = 1; ; n++) {
      try {
        return (await this.send(method, path, headers, body)) as CallAnswer<Name>;
      } catch (err) {
        if (!(err instanceof MoimError)) throw err;
        if (lost && method === "DELETE" && err.status === 404) return undefined as CallAnswer<Name>;
        const backoff = Math.min(firstWait * 2 ** (n - 1), longWait) * (0.5 + Math.random() / 2);
        const wait = Math.max(backoff, (err.retryAfter ?? 0) * 1000);
        // A conditional change that was made would fail when repeated.
        const again = headers["If-Match"] ? err.status === 429 : err.status === 0 || repeatable.has(err.status);
        if (!again || n >= attempts || wait > longWait) throw err;
        lost ||= err.status !== 429;
        await sleep(wait);
      }
    }
  }

  private async send(method: string, path: string, headers: Record<string, string>, body?: string): Promise<unknown> {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(this.base + path, {
        method,
        headers: { ...headers, Authorization: `Bearer ${this.tokens.current()}` },
        signal: AbortSignal.timeout(answerWithin),
        redirect: "error", // or a POST might become a GET, and another server might have the answer
        ...(body === undefined ? {} : { body }),
      });
      text = await answer.text();
    } catch (err) {
      throw new MoimError("network", `${method} ${path} was not answered: ${String((err as Error).cause ?? err)}`);
    }
    if (!answer.ok) throw refusal(answer, text);
    return text === "" ? undefined : JSON.parse(text);
  }
}

function request(name: CallName, args: Record<string, unknown>) {
  const [method, template, queries] = calls[name];
  const { key, ifMatch, ...rest } = args;
  const headers: Record<string, string> = {};
  if (method === "POST" || key !== undefined) headers["Idempotency-Key"] = String(key ?? randomUUID());
  if (ifMatch !== undefined) headers["If-Match"] = `"${String(ifMatch)}"`;
  let path = template.replace(/\{(\w+)\}/g, (_, field: string) => {
    const value = rest[field];
    delete rest[field];
    // fetch takes the last two for steps in the path, which then leads to another call
    if (value === undefined || value === "" || value === "." || value === "..")
      throw new Error(`${name}: ${field} cannot be ${JSON.stringify(value)}`);
    return encodeURIComponent(String(value));
  });
  const query = new URLSearchParams();
  for (const field of method === "GET" ? Object.keys(rest) : queries.split(",")) {
    if (rest[field] !== undefined) query.set(field, String(rest[field]));
    delete rest[field];
  }
  if (query.size > 0) path += `?${query}`;
  if (Object.keys(rest).length === 0) return { method, path, headers };
  headers["Content-Type"] = "application/json";
  return { method, path, headers, body: JSON.stringify(rest) };
}

function refusal(answer: Response, text: string): MoimError {
  let found: { code?: string; detail?: string; reason?: string; errors?: FieldError[] | null } = {};
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    // a proxy answered
  }
  const after = Number(answer.headers.get("Retry-After"));
  const { code = `http_${answer.status}`, detail = answer.statusText, errors, reason } = found;
  return new MoimError(code, detail, answer.status, errors ?? [], after > 0 ? after : undefined, reason);
}
