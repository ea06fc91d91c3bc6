/** until waits until cond holds. what says what was waited for. */
export async function until(what: string, cond: () => unknown, within = 30_000): Promise<void> {
  const end = performance.now() + within;
  while (!cond()) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((done) => setImmediate(done));
  }
}
