import { UnauthorizedException } from "@nestjs/common";
import { sign, verify } from "jsonwebtoken";

const secret = process.env.AUTH_SECRET ?? "";

export const signToken = (userId: string) => sign({}, secret, { subject: userId, expiresIn: "1h" });

// userOf returns the user of a token, or throws.
export function userOf(token: string | undefined): string {
  try {
    const { sub } = verify(token ?? "", secret, { algorithms: ["HS256"] });
    if (typeof sub === "string") return sub;
  } catch {
    // refused below
  }
  throw new UnauthorizedException();
}
