import { createHmac } from "node:crypto";

const backendTTL = 10 * 60; // seconds

/** signToken returns a token with these claims, signed with HS256 and valid for ttl seconds. */
export function signToken(secret: string, claims: Record<string, unknown>, ttl: number): string {
  if (Buffer.byteLength(secret ?? "") < 32) {
    throw new Error("secret must have at least 32 bytes: use Moim's auth.secret");
  }
  if (!(ttl > 0)) throw new Error("ttl must be a positive number of seconds");
  const now = Math.floor(Date.now() / 1000);
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ ...claims, iat: now, exp: now + Math.ceil(ttl) })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** BackendTokens signs tokens of the back end. It uses one for half of its time, so that it does not expire in a call. */
export class BackendTokens {
  private token = "";
  private until = 0;

  constructor(
    private readonly secret: string,
    private readonly name: string,
  ) {}

  current(): string {
    if (Date.now() >= this.until) {
      this.token = signToken(this.secret, { sub: this.name, scope: "admin" }, backendTTL);
      this.until = Date.now() + (backendTTL / 2) * 1000;
    }
    return this.token;
  }
}
