// The protocol: HTTP calls, and a plain WebSocket that reconnects.

// base is where the node's paths begin, also under a prefix.
export const base = (address) => {
  const here = new URL('.', location.href);
  if (address) here.host = address;
  return here;
};

/** MoimError is an answer that says what is wrong. */
export class MoimError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * http makes one call and returns the answer's body. show is told of the request and the
 * response.
 */
export async function http(address, token, method, path, body, show = () => {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  show('out', `${method} /v1${path} ${text ?? ''}`);
  const response = await fetch(new URL('v1' + path, base(address)), {
    method,
    headers: { authorization: `Bearer ${token}`, ...(text && { 'content-type': 'application/json' }) },
    body: text,
  });
  const answer = await response.text();
  show('in', `${response.status} ${answer}`);
  const data = answer ? JSON.parse(answer) : {};
  if (!response.ok) throw new MoimError(data.code, data.detail ?? data.title);
  return data;
}

const firstWait = 250;
const longestWait = 8000;

/**
 * Connection is a plain WebSocket to one node. While it is open, it reconnects when the
 * node closes it. Each wait is twice as long as the last one, with some randomness, so that
 * many clients do not come back at the same moment.
 */
export class Connection {
  #socket;
  #calls = new Map();
  #nextId = 1;
  #wait = firstWait;
  #timer;
  #wanted = false;

  /** handlers: status(text), event(name, data), connected(), show(direction, text). */
  constructor(token, handlers) {
    this.token = token;
    this.handlers = handlers;
  }

  open(address) {
    this.close();
    this.address = address;
    this.#wanted = true;
    this.#wait = firstWait;
    this.#connect();
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#ended(this.#socket);
  }

  /** call sends a request and returns the answer's data. */
  call(event, data) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new MoimError('offline', 'The connection is cut.'));
        return;
      }
      const id = this.#nextId++;
      this.#calls.set(id, { resolve, reject });
      this.#send({ id, event, data });
    });
  }

  #send(frame) {
    const text = JSON.stringify(frame);
    this.handlers.show('out', text);
    this.#socket.send(text);
  }

  #connect() {
    this.handlers.status('connecting');
    const url = new URL('ws', base(this.address));
    url.protocol = url.protocol.replace('http', 'ws');
    let socket;
    try {
      socket = new WebSocket(url, ['moim', `bearer.${this.token}`]);
    } catch {
      this.#again();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = firstWait;
      this.handlers.status('connected');
      this.handlers.connected();
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(data);
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#ended(socket);
      if (this.#wanted) this.#again();
    };
  }

  #again() {
    this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(this.#wait * 2, longestWait);
  }

  #ended(socket) {
    if (!socket) return;
    this.#socket = undefined;
    for (const { reject } of this.#calls.values()) reject(new MoimError('offline', 'The connection ended.'));
    this.#calls.clear();
    this.handlers.status(this.#wanted ? 'connecting' : 'cut');
  }

  #receive(text) {
    this.handlers.show('in', text);
    const { id, event, data, error } = JSON.parse(text);
    if (id === undefined) {
      this.handlers.event(event, data);
      return;
    }
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) call?.reject(new MoimError(error.code, error.message));
    else call?.resolve(data);
  }
}
