/**
 * Clock estimates the server's clock. Every time that the server has written down is at most its clock now, so the
 * sample that is furthest ahead of the own clock is the best one.
 */
export class Clock {
  private offset = 0;
  private fresh = true;

  /** The server's clock in milliseconds, as far as it is known: without samples, the own clock. */
  readonly now = (): number => Date.now() + this.offset;

  /** sample takes a time that the server wrote just now, or earlier. */
  sample(at: string | null | undefined): void {
    const ahead = Date.parse(at ?? "") - Date.now();
    if (Number.isNaN(ahead) || (!this.fresh && ahead <= this.offset)) return;
    this.offset = ahead;
    this.fresh = false;
  }

  /** restart lets the next sample replace the estimate, because the own clock may have been set. */
  restart(): void {
    this.fresh = true;
  }
}
