/** A wrong field of a request. */
export interface FieldError {
  field: string;
  message: string;
}

/** Moim's refusal of a call, or the lack of an answer: then `code` is `network`, and the change may have been made. */
export class MoimError extends Error {
  override readonly name = "MoimError";
  constructor(
    /** Stable, such as `group_full`: docs/errors.md lists all. */
    readonly code: string,
    message: string,
    /** The HTTP status, or 0 without an answer. */
    readonly status = 0,
    /** What is wrong with single fields. */
    readonly errors: readonly FieldError[] = [],
    /** How many seconds to wait before a repeat, if the server says so. */
    readonly retryAfter?: number,
    /** A code of the application's back end, if `code` is `refused`. */
    readonly reason?: string,
  ) {
    super(message);
  }
}
