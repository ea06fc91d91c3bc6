declare function atob(text: string): string;

/** userOf returns the user of a token, or the token itself if it is no JWT: "alice" is alice's token. */
export function userOf(token: string): string {
  const payload = token.split(".")[1];
  if (payload === undefined) return token;
  return (JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))) as { sub: string }).sub;
}
