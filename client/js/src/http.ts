import type { Clock } from "./clock.js";
import { type Fetch, type FetchAnswer, newKey, sleep, within } from "./env.js";
import { type FieldError, MoimError, waitFor } from "./errors.js";
import { calls } from "./generated/operations.js";
import type { Tokens } from "./tokens.js";
import type { CallAnswer, CallArguments, CallName } from "./types.js";

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
      return { status: answer.status, retryAfter: Number(answer.headers.get("Retry-After") ?? 0) };
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
    const text = await answer.text().catch(() => Promise.reject(networkError()));
    if (answer.status < 300) return text === "" ? undefined : JSON.parse(text);
    throw problem(answer, text);
  }

  private async request(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: string,
  ): Promise<FetchAnswer> {
    const { fetch } = this; // a browser's fetch must not be called as a method
    try {
      const asked = fetch(this.base + path, { method, headers, ...(body === undefined ? {} : { body }) });
      const answer = await within(answerWithin, asked, networkError);
      this.clock.sample(answer.headers.get("Date"));
      return answer;
    } catch {
      throw networkError();
    }
  }
}

const networkError = () => new MoimError("network", "the server did not answer");

function problem(answer: FetchAnswer, text: string): MoimError {
  let found: { code?: string; detail?: string; errors?: FieldError[] | null } = {};
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    // a proxy answered
  }
  const after = answer.headers.get("Retry-After");
  const code = found.code ?? (answer.status >= 500 ? "unavailable" : `http_${answer.status}`);
  return new MoimError(
    code,
    found.detail ?? `status ${answer.status}`,
    answer.status,
    found.errors ?? [],
    after ? Number(after) : undefined,
  );
}
