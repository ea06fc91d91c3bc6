// What the scripts that compare servers share: waiting, and showing what was seen.

const patience = 60_000; // for a busy machine

// within fails unless the promise is settled in time.
export const within = (promise, what) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error("timed out: " + what)), patience))]);

// once returns the arguments of the next event.
export const once = (emitter, event) => within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), event);

// ask returns the arguments of the acknowledgement.
export const ask = (socket, event, ...args) => within(new Promise((resolve) => socket.emit(event, ...args, (...reply) => resolve(reply))), "ack of " + event);

// plain returns a value with text in place of binary data.
export const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => {
  if (v instanceof ArrayBuffer) return "binary:" + Buffer.from(v).toString("hex");
  if (v?.type === "Buffer") return "binary:" + Buffer.from(v.data).toString("hex");
  return v;
}));

// runAll runs behaviours, some at a time, and prints for each {name, seen}. What fails is
// seen, too.
export async function runAll(behaviours, atATime) {
  process.on("unhandledRejection", () => {}); // of a second event that a failed behaviour waits for
  const queue = [...behaviours];
  await Promise.all(Array.from({ length: atATime }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [name, run] = next;
      const seen = await run().catch((err) => "failed: " + err.message);
      console.log(JSON.stringify({ name, seen }));
    }
  }));
  process.exit(0);
}
