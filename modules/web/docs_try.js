// What the reader tries: calls over HTTP and events over a plain WebSocket. The token is in
// its field only.
const tryOut = (el, api, sockets) => {
  const base = new URL('.', location.href); // also below a prefix
  const field = (label, input) => el('label', {}, label, input);
  const area = (value) => el('textarea', { rows: Math.min(12, value.split('\n').length + 1), spellcheck: false, value });

  const token = el('input', { type: 'password', autocomplete: 'off', spellcheck: false });
  const offered = document.body.dataset.token;
  const panel = el('form', { className: 'token', onsubmit: (e) => e.preventDefault() },
    field('Token, to try calls and events', token),
    offered ? el('button', { type: 'button', onclick: () => { token.value = offered; } }, 'Use a development token') : null,
    el('small', {}, 'It stays on this page until you leave it. A node signs one with: moim token --user alice'));

  // sample returns a value that fits a schema: required fields, and those with examples.
  const sample = (doc, schema, depth = 0) => {
    if (!schema || depth > 6) return null;
    if (schema.$ref) return sample(doc, schema.$ref.slice(2).split('/').reduce((at, key) => at[key], doc), depth + 1);
    if (schema.const !== undefined) return schema.const;
    if (schema.examples) return schema.examples[0];
    if (schema.default !== undefined) return schema.default;
    if (schema.enum) return schema.enum[0];
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
    if (type === 'object') {
      const entries = Object.entries(schema.properties || {})
        .filter(([name, p]) => (schema.required || []).includes(name) || p.examples);
      return Object.fromEntries(entries.map(([name, p]) => [name, sample(doc, p, depth + 1)]));
    }
    return { array: [], string: '', integer: 0, number: 0, boolean: false }[type] ?? null;
  };
  const pretty = (value) => JSON.stringify(value, null, 2);
  const output = () => el('pre', { tabIndex: 0, hidden: true, role: 'log', ariaLabel: 'Answer' });
  const show = (pre, text) => { pre.hidden = false; pre.textContent = text; };

  const call = (method, path, op) => {
    const params = (op.parameters || []).filter((p) => p.in !== 'cookie').map((p) => {
      const input = el('input', { autocomplete: 'off', required: p.in === 'path' });
      return { ...p, input };
    });
    const media = op.requestBody && op.requestBody.content['application/json'];
    const body = media && area(pretty(sample(api, media.schema)));
    const answer = output();
    const send = async (e) => {
      e.preventDefault();
      const filled = params.filter((p) => p.input.value !== '');
      const of = (place) => filled.filter((p) => p.in === place);
      const url = new URL('.' + of('path').reduce((at, p) => at.replace(`{${p.name}}`, encodeURIComponent(p.input.value)), path), base);
      for (const p of of('query')) url.searchParams.set(p.name, p.input.value);
      const headers = Object.fromEntries(of('header').map((p) => [p.name, p.input.value]));
      if (token.value) headers.Authorization = `Bearer ${token.value.trim()}`;
      if (body && body.value.trim()) headers['Content-Type'] = 'application/json';
      show(answer, '…');
      try {
        const res = await fetch(url, { method: method.toUpperCase(), headers, body: headers['Content-Type'] && body.value });
        const text = await res.text();
        let readable = text;
        try { readable = pretty(JSON.parse(text)); } catch { /* no JSON */ }
        show(answer, `${res.status} ${res.statusText}\n${readable}`);
      } catch (error) {
        show(answer, String(error));
      }
    };
    return el('form', { onsubmit: send }, el('h4', {}, 'Try it'),
      ...params.map((p) => field(`${p.name} (${p.in})`, p.input)), body ? field('Body', body) : null,
      el('button', {}, 'Send'), answer);
  };

  // All events share one connection, which lasts until the token changes or the page closes.
  let socket, used, nextID = 1;
  const wire = output();
  wire.ariaLabel = 'Messages of the socket';
  const log = (line) => {
    show(wire, (wire.textContent + line + '\n').split('\n').slice(-200).join('\n'));
    wire.scrollTop = wire.scrollHeight;
  };
  const connected = () => new Promise((resolve, reject) => {
    if (socket && socket.readyState === WebSocket.OPEN && used === token.value) return resolve(socket);
    if (socket) socket.close();
    const url = new URL('ws', base);
    url.protocol = url.protocol.replace('http', 'ws');
    used = token.value;
    const opened = new WebSocket(url, ['moim', `bearer.${used.trim()}`]);
    opened.onopen = () => resolve(opened);
    opened.onmessage = (m) => log(`← ${m.data}`);
    opened.onclose = (c) => { log(`closed: ${c.code} ${c.reason}`); reject(new Error('not connected: is the token valid?')); };
    socket = opened;
    return undefined;
  });
  const event = (name, message) => {
    const frame = message.payload.properties;
    const data = area(pretty(sample(sockets, frame.data)));
    const problem = el('p', { role: 'status' });
    const send = async (e) => {
      e.preventDefault();
      problem.textContent = '';
      try {
        const parsed = JSON.parse(data.value || 'null');
        const open = await connected();
        const text = JSON.stringify({ id: nextID++, event: name, data: parsed });
        log(`→ ${text}`);
        open.send(text);
        problem.textContent = 'Sent: the answer is in the log below.';
      } catch (error) {
        problem.textContent = error.message;
      }
    };
    return el('form', { onsubmit: send }, el('h4', {}, 'Try it'), field('Data', data), el('button', {}, 'Send'), problem);
  };
  return { panel, call, event, wire };
};
