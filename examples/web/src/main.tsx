import { createMoim } from "moim-client";
import { MoimProvider } from "moim-client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Groups } from "./Groups.js";
import { Room } from "./Room.js";
import "./style.css";

const { searchParams } = new URL(location.href);
const user = searchParams.get("user") ?? "";
const group = searchParams.get("group") ?? "";

const moim = createMoim({
  url: import.meta.env["VITE_MOIM_URL"] ?? "http://127.0.0.1:8080",
  getToken: async () => {
    const answer = await fetch(`/token?${new URLSearchParams({ user })}`);
    return answer.ok ? answer.text() : null;
  },
});

const signIn = (
  <form>
    <input type="hidden" name="group" value={group} />
    <input name="user" aria-label="Your name" required />
    <button type="submit">Sign in</button>
  </form>
);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <MoimProvider client={moim}>
      {user === "" ? signIn : group === "" ? <Groups user={user} /> : <Room id={group} />}
    </MoimProvider>
  </StrictMode>,
);
