import type { Connection } from "./connection.js";
import type { Answer } from "./driver.js";
import { later, newKey } from "./env.js";
import { MoimError } from "./errors.js";
import type { Event } from "./types.js";
import { copyOf, fromWire, waitFor } from "./wire.js";

const most = 1_000; // posts that wait in a group
const mostText = 500_000; // characters of one post: a larger one could end the connection
const safeFor = 23 * 3_600_000; // the server knows a key for 24 hours

interface Post {
  request: { groupId: string; type: string; data: unknown; key: string };
  at: number;
  done: (event: Event) => void;
  fail: (err: MoimError) => void;
}

/**
 * Outbox keeps posts until the server has answered them, over any number of connections. It sends the posts of a group
 * one after another, so that their order stays, and repeats them with their keys, so that each is made once.
 */
export class Outbox {
  private readonly queues = new Map<string, Post[]>();
  private readonly busy = new Set<string>();

  constructor(private readonly connection: Connection) {
    connection.events.on("up", () => {
      for (const groupId of this.queues.keys()) this.pump(groupId);
    });
  }

  post(groupId: string, type: string, data: unknown): Promise<Event> {
    const queue = this.queues.get(groupId) ?? [];
    if (queue.length >= most) return Promise.reject(new MoimError("queue_full", `${most} posts wait for an answer`));
    const { copy, size } = copyOf(data);
    if (size > mostText)
      return Promise.reject(new MoimError("payload_too_large", "the data of a post has at most 32 KiB"));
    this.queues.set(groupId, queue);
    return new Promise((done, fail) => {
      queue.push({ request: { groupId, type, data: copy, key: newKey() }, at: Date.now(), done, fail });
      this.pump(groupId);
    });
  }

  /** clear gives up all posts that wait. */
  clear(err: MoimError): void {
    const queues = [...this.queues.values()];
    this.queues.clear();
    for (const queue of queues) for (const post of queue) post.fail(err);
  }

  private pump(groupId: string): void {
    const queue = this.queues.get(groupId);
    const post = queue?.[0];
    if (!post) return void this.queues.delete(groupId);
    if (this.busy.has(groupId) || !this.connection.online) return;
    if (Date.now() - post.at > safeFor) {
      queue?.shift();
      post.fail(new MoimError("expired", "the post waited for too long; it may have been made"));
      return this.pump(groupId);
    }
    this.busy.add(groupId);
    this.connection.ask("group:message", post.request, (answer) => this.answered(groupId, post, answer));
  }

  private answered(groupId: string, post: Post, { data, error }: Answer): void {
    const wait = error && waitFor(error);
    if (wait !== undefined) {
      later(wait, () => this.go(groupId));
      return;
    }
    if (error?.code !== "disconnected") {
      const queue = this.queues.get(groupId);
      if (queue?.[0] === post) queue.shift();
      if (error) post.fail(fromWire(error));
      else post.done(data as Event);
    }
    this.go(groupId);
  }

  private go(groupId: string): void {
    this.busy.delete(groupId);
    this.pump(groupId);
  }
}
