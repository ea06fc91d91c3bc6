import { createHmac } from "node:crypto";
import react from "@vitejs/plugin-react";
import { type Connect, defineConfig } from "vite";

// Stands for your application's back end, which knows who is signed in. This one believes everybody: do not put it on a
// network.
const secret = process.env["MOIM_AUTH_SECRET"] ?? "";

function token(user: string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, name: user, iat: now, exp: now + 3600 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

const serve = ({ middlewares }: { middlewares: Connect.Server }) => {
  if (secret.length < 32) throw new Error("MOIM_AUTH_SECRET must be the secret of the node");
  middlewares.use("/token", (req, res) => {
    res.end(token(new URL(req.url ?? "", "http://localhost").searchParams.get("user") ?? ""));
  });
};

export default defineConfig({
  plugins: [react(), { name: "token", configureServer: serve, configurePreviewServer: serve }],
});
