import { useGroup, useGroupHandle, useStatus } from "moim-client/react";
import { Messages } from "./Messages.js";
import { useAttempt } from "./useAttempt.js";

/** Room shows a group: its members, who of them is here, and its messages. */
export function Room({ id }: { id: string }) {
  const { phase, why, group, members, present } = useGroup(id);
  const { status } = useStatus();
  const room = useGroupHandle(id);
  const [refusal, attempt] = useAttempt();
  const alert = <p role="alert">{refusal}</p>;

  if (phase === "closed")
    return (
      <main>
        <p>You are not in this group: {why}</p>
        <button type="button" onClick={() => attempt(room.call("join-group"))}>
          Join
        </button>
        {alert}
      </main>
    );
  if (!group || phase === "joining") return <p>Joining…</p>;

  // The client keeps a post until the server has answered: the form does not wait.
  const post = (form: FormData) => void attempt(room.post("chat", { text: String(form.get("text")) }));
  return (
    <main>
      <h1>{group.name}</h1>
      <output>{status}</output>
      <p>
        {[...members.values()].map(({ userId, name }) => (
          <span key={userId} data-status={present.get(userId)?.status ?? "offline"}>
            {name || userId}
          </span>
        ))}
      </p>
      <Messages id={id} />
      <form action={post}>
        <input name="text" aria-label="Message" autoComplete="off" required />
        <button type="submit">Send</button>
      </form>
      {alert}
    </main>
  );
}
