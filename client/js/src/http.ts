import type { Clock } from "./clock.js";
import { env, type Fetch, newKey, sleep, within } from "./env.js";
import { type FieldError, MoimError } from "./errors.js";
import { calls } from "./generated/operations.js";
import type { Tokens } from "./tokens.js";
import type { CallAnswer, CallArguments, CallName } from "./types.js";
import { waitFor } from "./wire.js";

const answerWithin = 30_000;
const tries = 3;

/** Http makes calls of the HTTP contract. */
export class Http {
  constructor(
    private readonly base: string,
    private readonly fetch: Fetch,
    private readonly tokens: Tokens,
    private readonly clock: Clock,
  ) {}

  /**
   * call makes one call. It repeats reads, and changes with an idempotency key, if no answer comes or the server asks
   * for it.
   */
  async call<Name extends CallName>(name: Name, args: CallArguments<Name>): Promise<CallAnswer<Name>> {
    const [method, template, queries, keyed] = calls[name];
    const { key, ifMatch, ...rest } = args as Record<string, unknown>;
    const headers: Record<string, string> = {};
    if (keyed) headers["Idempotency-Key"] = (key as string | undefined) ?? newKey();
    if (ifMatch !== undefined) headers["If-Match"] = `"${String(ifMatch)}"`;
    const path = template.replace(/\{(\w+)\}/g, (_, field: string) => {
      const value = rest[field];
      delete rest[field];
      // fetch takes the last two for steps in the path, which then leads to another call
      if (value === undefined || value === "" || value === "." || value === "..")
        throw new Error(`${name}: ${field} cannot be ${JSON.stringify(value)}`);
      return encodeURIComponent(String(value));
    });
    const query: string[] = [];
    for (const field of queries.split(",")) {
      if (rest[field] !== undefined) query.push(`${field}=${encodeURIComponent(String(rest[field]))}`);
      delete rest[field];
    }
    let body: string | undefined;
    if (method !== "GET" && Object.keys(rest).length > 0) {
      body = JSON.stringify(rest);
      headers["Content-Type"] = "application/json";
    }
    const url = path + (query.length > 0 ? `?${query.join("&")}` : "");
    for (let n = 1; ; n++) {
      try {
        return (await this.send(method, url, headers, body)) as CallAnswer<Name>;
      } catch (err) {
        const wait = err instanceof MoimError && (err.code === "network" ? 500 * n : waitFor(err));
        if (n >= tries || !wait || !(keyed || method === "GET")) throw err;
        await sleep(wait);
      }
    }
  }

  /** probe returns what the server says about a token, after a connection that it refused. 0: it does not answer. */
  async probe(token: string): Promise<{ status: number; retryAfter: number }> {
    try {
      const answer = await this.request("GET", "/v1/me/groups?limit=1", { Authorization: `Bearer ${token}` });
      return { status: answer.status, retryAfter: answer.retryAfter ?? 0 };
    } catch {
      return { status: 0, retryAfter: 0 };
    }
  }

  private async send(method: string, path: string, headers: Record<string, string>, body?: string): Promise<unknown> {
    const ask = async (asked: Promise<string>) => {
      const token = await asked;
      if (token === "") throw new MoimError("no_token", "getToken gave no token");
      return this.request(method, path, { ...headers, Authorization: `Bearer ${token}` }, body);
    };
    let answer = await ask(this.tokens.current());
    if (answer.status === 401) answer = await ask(this.tokens.ask("refused"));
    const { status, text } = answer;
    try {
      if (status < 300) return text === "" ? undefined : JSON.parse(text);
    } catch {
      throw networkError(); // somebody else answered, such as the login page of a network
    }
    throw problem(answer);
  }

  private async request(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: string,
  ): Promise<HttpAnswer> {
    const { fetch } = this; // a browser's fetch must not be called as a method
    const abort = env.AbortController && new env.AbortController();
    const ask = async (): Promise<HttpAnswer> => {
      // After a redirect, a POST might be a GET, and another server might have the answer.
      const init = {
        method,
        headers,
        redirect: "error" as const,
        ...(body === undefined ? {} : { body }),
        ...(abort && { signal: abort.signal }),
      };
      const answer = await fetch(this.base + path, init);
      this.clock.sample(answer.headers.get("Date"));
      const after = answer.headers.get("Retry-After");
      return { status: answer.status, retryAfter: after ? Number(after) : undefined, text: await answer.text() };
    };
    try {
      return await within(answerWithin, ask(), networkError);
    } catch {
      abort?.abort(); // a dead connection must not be used again
      throw networkError();
    }
  }
}

interface HttpAnswer {
  status: number;
  retryAfter: number | undefined; // seconds
  text: string;
}

const networkError = () => new MoimError("network", "the server did not answer");

function problem({ status, retryAfter, text }: HttpAnswer): MoimError {
  let found: { code?: string; detail?: string; reason?: string; errors?: FieldError[] | null } = {};
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    // a proxy answered
  }
  const code = found.code ?? (status >= 500 ? "unavailable" : `http_${status}`);
  return new MoimError(code, found.detail ?? `status ${status}`, status, found.errors ?? [], retryAfter, found.reason);
}
