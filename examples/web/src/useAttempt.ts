import { MoimError } from "moim-client";
import { useCallback, useState } from "react";

/** useAttempt returns why the last change was refused, and a function that waits for a change. */
export function useAttempt() {
  const [refusal, setRefusal] = useState("");
  const attempt = useCallback(async <T>(change: Promise<T>): Promise<T | undefined> => {
    setRefusal("");
    try {
      return await change;
    } catch (err) {
      setRefusal(err instanceof MoimError ? err.message : String(err));
    }
  }, []);
  return [refusal, attempt] as const;
}
