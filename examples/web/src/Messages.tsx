import type { Event } from "moim-client";
import { useGroupEvent, useMoim } from "moim-client/react";
import { useCallback, useEffect, useState } from "react";
import { useAttempt } from "./useAttempt.js";

type Message = Pick<Event, "version" | "actor" | "data">;

/** add appends messages that are newer than those before. */
function add(before: readonly Message[], more: readonly Message[]): readonly Message[] {
  const newest = before.at(-1)?.version ?? 0;
  return [...before, ...more.filter(({ version }) => version > newest)];
}

/** Messages shows the last messages of a group, and those that follow. */
export function Messages({ id }: { id: string }) {
  const moim = useMoim();
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [refusal, attempt] = useAttempt();

  const load = useCallback(async () => {
    const page = await attempt(moim.call("list-messages", { groupId: id, limit: 50 }));
    if (page) setMessages((shown) => add([...page.items].reverse(), shown));
  }, [moim, id, attempt]);
  useEffect(() => void load(), [load]);
  useGroupEvent(id, "reset", load); // events were skipped
  useGroupEvent(id, "message.posted", ({ version, actor, data }) =>
    setMessages((shown) => add(shown, [{ version, actor, data: data.data }])),
  );

  return (
    <>
      <ol>
        {messages.map(({ version, actor, data }) => (
          <li key={version}>
            <b>{actor}</b> {(data as { text?: string } | null)?.text}
          </li>
        ))}
      </ol>
      <p role="alert">{refusal}</p>
    </>
  );
}
