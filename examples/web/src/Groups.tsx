import { useMine, useMoim } from "moim-client/react";
import { useAttempt } from "./useAttempt.js";

/** Groups lists the user's groups, and makes new ones. */
export function Groups({ user }: { user: string }) {
  const moim = useMoim();
  const groups = useMine((mine) => mine.groups);
  const [refusal, attempt] = useAttempt();
  const link = (group: string) => `/?${new URLSearchParams({ user, group })}`;

  async function create(form: FormData) {
    const group = { name: String(form.get("name")), visibility: "public", joinPolicy: "open" } as const;
    const made = await attempt(moim.call("create-group", group));
    if (made) location.assign(link(made.id));
  }

  return (
    <main>
      <h1>Groups of {user}</h1>
      {groups.map(({ id, name, unread, online }) => (
        <p key={id}>
          <a href={link(id)}>{name}</a>: {unread} new, {online} online
        </p>
      ))}
      <form action={create}>
        <input name="name" aria-label="Name of a new group" required />
        <button type="submit">Create</button>
      </form>
      <p role="alert">{refusal}</p>
    </main>
  );
}
