// What tests against a real server share. The end-to-end tests of the repository set the variables.
import { createHmac } from "node:crypto";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { createMoim, type Moim, type MoimOptions, type TokenReason, type WebSocketClass } from "../src/index.js";

const secret = process.env["MOIM_SECRET"] ?? "";

/** token signs a token. */
export function token(user: string, seconds = 3600, claims = {}): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, iat: now - 1, exp: now + seconds, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

const open: (() => void)[] = [];

/** closeAll closes all clients. */
export function closeAll(): void {
  for (const close of open.splice(0)) close();
}

/** connect returns a client over a WebSocket. */
export function connect(url: string, user: string, options: Partial<MoimOptions> = {}): Moim {
  const moim = createMoim({
    url,
    WebSocket: WebSocket as unknown as WebSocketClass,
    getToken: () => token(user),
    ...options,
  });
  open.push(() => moim.close());
  return moim;
}

/** connectIO returns a client over Socket.IO, which knows the URL and the tokens from its socket. */
export function connectIO(url: string, user: string, options: Partial<MoimOptions> = {}): Moim {
  const getToken = (options.getToken ?? (() => token(user))) as (reason: TokenReason) => string;
  const socket = io(url, {
    auth: (send) => send({ token: getToken("connect") }),
    autoConnect: false,
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 1000,
  });
  const moim = createMoim({ ...options, socket });
  open.push(() => {
    moim.close();
    socket.disconnect();
  });
  return moim;
}

/** A client of a back end. */
export const backEnd = (url: string): Moim =>
  connect(url, "backend", { getToken: () => token("backend", 3600, { scope: "admin" }) });
