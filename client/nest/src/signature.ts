import { createHmac, timingSafeEqual } from "node:crypto";

const tolerance = 5 * 60; // seconds

/** keyOf returns the key of a hook's secret. */
export function keyOf(secret: string): Buffer {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  if (!secret.startsWith("whsec_") || key.length < 16) throw new Error("hookSecret must be whsec_ and base64");
  return key;
}

export type Headers = Record<string, string | string[] | undefined>;

/** verify returns what is wrong with a delivery's signature, or undefined. now is in seconds. */
export function verify(key: Buffer, headers: Headers, body: Buffer, now = Date.now() / 1000): string | undefined {
  const id = String(headers["webhook-id"] ?? "");
  const at = String(headers["webhook-timestamp"] ?? "");
  if (id === "" || !/^\d+$/.test(at)) return "webhook-id or webhook-timestamp is missing";
  if (Math.abs(now - Number(at)) > tolerance) return "webhook-timestamp is more than 5 minutes from now";
  const want = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest();
  for (const part of String(headers["webhook-signature"] ?? "").split(" ")) {
    if (!part.startsWith("v1,")) continue;
    const got = Buffer.from(part.slice(3), "base64");
    if (got.length === want.length && timingSafeEqual(got, want)) return undefined;
  }
  return "webhook-signature is wrong";
}
