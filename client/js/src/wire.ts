import { type FieldError, MoimError } from "./errors.js";

/** The error in a socket's answer. */
export interface WireError {
  code: string;
  message?: string;
  reason?: string;
  errors?: FieldError[];
  retryAfter?: number;
}

/** copyOf returns a copy of data as JSON has it, so that later changes by the program do not reach the server. */
export function copyOf(data: unknown): { copy: unknown; size: number } {
  const text = JSON.stringify(data) as string | undefined;
  return text === undefined ? { copy: undefined, size: 0 } : { copy: JSON.parse(text), size: text.length };
}

export function fromWire(error: WireError): MoimError {
  return new MoimError(error.code, error.message ?? error.code, 0, error.errors, error.retryAfter, error.reason);
}

/** waitFor returns how long to wait before a repeat, in milliseconds, or undefined if a repeat does not help. */
export function waitFor(error: { code: string; retryAfter?: number | undefined }): number | undefined {
  if (error.code === "rate_limited" || error.code === "unavailable")
    return (error.retryAfter ?? 1 + Math.random()) * 1000;
  return undefined;
}
