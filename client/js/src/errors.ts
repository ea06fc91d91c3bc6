/** A wrong field of a request. */
export interface FieldError {
  field: string;
  message: string;
}

/**
 * An answer that refuses a request, or the lack of an answer. Test `code`: one of the server's codes (docs/errors.md), or
 * `network`: there was no answer, and the change may have been made. The JavaScript client also has:
 *
 * - `offline`: a signal was not sent, because there is no connection.
 * - `closed`: the client was closed, or its user changed.
 * - `queue_full`: too many posts wait for an answer.
 * - `expired`: a post waited for almost a day, so that it could not be repeated safely.
 */
export class MoimError extends Error {
  override readonly name = "MoimError";
  constructor(
    readonly code: string,
    message: string,
    /** The HTTP status, or 0 over a socket. */
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
