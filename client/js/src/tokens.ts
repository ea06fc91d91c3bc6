import { env, within } from "./env.js";

/**
 * Why a token is needed: to connect, because the last one expires soon, or because the server refused the last one. After
 * `refused`, do not return the same token again.
 */
export type TokenReason = "connect" | "expiring" | "refused";

/**
 * Returns a token of your application, or null or "" if there is no user. If it throws, the client asks again later.
 */
export type GetToken = (reason: TokenReason) => Promise<string | null> | string | null;

interface Claims {
  sub?: string;
  exp?: number;
}

const answerWithin = 30_000;
const early = 30_000; // before its end, a token is replaced

/** Tokens gets tokens from the program, one at a time, and knows the last one. */
export class Tokens {
  private last: { text: string; claims: Claims } | undefined;
  private asking: Promise<string> | undefined;
  private reason: TokenReason | undefined;

  constructor(
    private readonly get: GetToken | undefined,
    private readonly now: () => number,
    private readonly fixedUser: string | undefined,
  ) {}

  /** The id of the last token's user. */
  get userId(): string | undefined {
    return this.fixedUser ?? this.last?.claims.sub;
  }

  /** ask gets a token from the program: "" if there is none. Calls at the same time share one question. */
  ask(reason: TokenReason): Promise<string> {
    if (this.asking && (this.reason === reason || reason !== "refused")) return this.asking;
    this.reason = reason;
    const asked = Promise.resolve().then(() => this.get?.(reason));
    const asking = within(answerWithin, asked, () => new Error("getToken did not answer"))
      .then((given) => {
        const text = given ?? "";
        this.last = text === "" ? undefined : { text, claims: claims(text) };
        return text;
      })
      .finally(() => {
        if (this.asking === asking) this.asking = undefined;
      });
    this.asking = asking;
    return asking;
  }

  /** current returns the last token, or a new one if that one ends soon. */
  current(): Promise<string> {
    const { last } = this;
    if (!last) return this.ask("connect");
    const { exp } = last.claims;
    if (exp === undefined || exp * 1000 - early > this.now()) return Promise.resolve(last.text);
    return this.ask("expiring").catch(() => last.text);
  }
}

/** claims reads a JWT without checking it: the server does that. */
function claims(token: string): Claims {
  try {
    const text = env.atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    const utf8 = Array.from(text, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
    return JSON.parse(decodeURIComponent(utf8)) as Claims;
  } catch {
    return {};
  }
}
