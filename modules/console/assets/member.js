// One member: what they know of the group, and what they do.
import { Connection, MoimError, http } from './wire.js';

const typingEvery = 1000;

/**
 * Member follows one group. It remembers the version of the last event, asks for what
 * follows it when it comes back, and calls changed() after each change.
 */
export class Member {
  status = 'connecting';
  version = 0;
  joined = false;
  log = []; // events, oldest first
  people = new Map(); // user id -> { name, status }
  caughtUp = ''; // what the last return brought
  hole = ''; // what should never happen
  typist = '';
  frames = []; // { direction, text }
  problem = '';

  #connection;
  #early = new Map(); // user id -> status, of people whose joining is still on its way
  #returned; // { since, until } while missed events are on their way
  #typedAt = 0;
  #typing;

  constructor(user, groupId, address, changed) {
    this.user = user;
    this.groupId = groupId;
    this.address = address;
    this.changed = changed;
    this.#connection = new Connection(user.token, {
      status: (status) => this.#set({ status }),
      connected: () => this.#subscribe(),
      event: (name, data) => this.#receive(name, data),
      show: (direction, text) => this.#show(direction, text),
    });
  }

  async join() {
    await this.#http('POST', `/groups/${this.groupId}/join`);
    this.#set({ joined: true });
    await this.#subscribe();
  }

  leave() {
    return this.#http('POST', `/groups/${this.groupId}/leave`);
  }

  connect(address = this.address) {
    this.address = address;
    this.#connection.open(address);
  }

  cut() {
    this.#connection.close();
  }

  send(text) {
    return this.#connection.call('group:message', { groupId: this.groupId, type: 'chat', data: { text }, key: crypto.randomUUID() });
  }

  /** typing tells the others, at most once a second. Nobody stores it. */
  typing() {
    if (Date.now() - this.#typedAt < typingEvery) return;
    this.#typedAt = Date.now();
    this.#connection.call('group:signal', { groupId: this.groupId, type: 'typing', data: {} }).catch(() => {});
  }

  #http(method, path, body) {
    return http(this.address, this.user.token, method, path, body, (direction, text) => this.#show(direction, text));
  }

  #set(changes) {
    Object.assign(this, changes);
    this.changed();
  }

  #show(direction, text) {
    this.frames.push({ direction, text });
    this.frames.splice(0, this.frames.length - 200);
    this.changed();
  }

  async #subscribe() {
    if (!this.joined) return;
    try {
      // From version 0, the whole log follows.
      const answer = await this.#connection.call('group:subscribe', { groupId: this.groupId, since: this.version, presence: true });
      if (answer.snapshot) await this.#begin(answer);
      else if (answer.version) this.#missed(answer);
      for (const item of answer.presence?.items ?? []) this.#present(item);
      this.#set({ problem: '' });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** begin starts from the group as it is, because the log no longer reaches back. */
  async #begin(answer) {
    this.#returned = undefined;
    this.version = answer.version;
    const { items } = await this.#http('GET', `/groups/${this.groupId}/members`);
    for (const { userId, name } of items) this.#meet(userId, name);
  }

  /** missed notes up to which version the events on their way are those that were missed. */
  #missed(answer) {
    this.#returned = { since: answer.version, until: answer.group.version, seen: 0 };
    this.#finishReturn();
  }

  #finishReturn() {
    const { since, until, seen } = this.#returned;
    if (this.version < until) return;
    this.#returned = undefined;
    this.#set({ caughtUp: seen ? `Caught up: ${seen} missed, version ${since + 1}${seen > 1 ? ` to ${since + seen}` : ''}, in order.` : 'Caught up: nothing was missed.' });
  }

  #receive(name, data) {
    if (data?.groupId !== this.groupId) return;
    if (name === 'group:event') this.#apply(data);
    if (name === 'group:presence') data.items.forEach((item) => this.#present(item));
    if (name === 'group:signal' && data.type === 'typing') this.#hear(data.from);
    if (name === 'group:closed') this.#closed(data.reason);
    this.changed();
  }

  #apply(event) {
    if (event.version !== this.version + 1) this.hole = `Version ${event.version} followed ${this.version}.`;
    this.version = event.version;
    this.log.push(event);
    this.log.splice(0, this.log.length - 200);
    if (event.type === 'group.created') this.#meet(event.data.ownerId);
    if (event.type === 'member.joined') this.#meet(event.data.userId, event.data.name);
    if (['member.left', 'member.removed', 'member.banned'].includes(event.type)) {
      this.people.delete(event.data.userId);
      this.#early.delete(event.data.userId);
    }
    if (event.type === 'message.posted' && event.actor === this.typist) this.typist = '';
    if (this.#returned) {
      this.#returned.seen++;
      this.#finishReturn();
    }
  }

  #meet(userId, name = userId) {
    this.people.set(userId, { status: this.#early.get(userId) ?? 'offline', ...this.people.get(userId), name });
    this.#early.delete(userId);
  }

  #present({ userId, status }) {
    const known = this.people.get(userId);
    if (known) this.#set({ people: this.people.set(userId, { ...known, status }) });
    else this.#early.set(userId, status);
  }

  #hear(from) {
    clearTimeout(this.#typing);
    this.typist = from;
    this.#typing = setTimeout(() => this.#set({ typist: '' }), 2 * typingEvery);
  }

  #closed(reason) {
    if (reason === 'resync') {
      this.version = 0;
      this.log = [];
      this.#subscribe();
      return;
    }
    // The log after this is not theirs to read until they join again.
    this.joined = false;
    this.version = 0;
    this.log = [];
    this.caughtUp = '';
    this.people.clear();
    this.#early.clear();
  }

  #fail(error) {
    if (error instanceof MoimError && error.code === 'offline') return;
    if (error.code === 'not_member') this.joined = false;
    this.#set({ problem: `${error.code ?? 'error'}: ${error.message}` });
  }
}
