(async () => {
  const el = (tag, props, ...children) => {
    const node = Object.assign(document.createElement(tag), props || {});
    node.append(...children.filter((c) => c !== undefined && c !== null));
    return node;
  };
  const root = document.getElementById('api');
  // Relative to this page, so that it works under any prefix.
  const [answer, described] = await Promise.all(['openapi.json', 'asyncapi.json'].map((name) => fetch(new URL(name, location.href))));
  if (!answer.ok) {
    root.textContent = 'openapi.json: ' + answer.status;
    return;
  }
  const api = await answer.json();
  const sockets = described.ok ? await described.json() : null; // a program may serve no sockets
  const attempt = tryOut(el, api, sockets);

  const nameOf = (ref) => ref.split('/').pop();
  const typeOf = (s) => {
    if (!s) return el('code', {}, 'any');
    if (s.$ref) return el('a', { href: '#' + nameOf(s.$ref) }, nameOf(s.$ref));
    if (s.type === 'array' || (Array.isArray(s.type) && s.type.includes('array'))) {
      return el('span', {}, 'list of ', typeOf(s.items));
    }
    const type = Array.isArray(s.type) ? s.type.join(' or ') : s.type || 'any';
    return el('code', {}, s.format ? `${type} (${s.format})` : type);
  };
  const rules = (s) => {
    const names = ['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'pattern', 'default'];
    const out = names.filter((n) => s && s[n] !== undefined).map((n) => `${n} ${s[n]}`);
    if (s && s.enum) out.push('one of ' + s.enum.join(', '));
    return out.join('; ');
  };
  const row = (name, schema, required, about) => el('tr', {},
    el('td', {}, el('code', {}, name), required ? ' *' : ''),
    el('td', {}, typeOf(schema)),
    el('td', {}, [about, rules(schema)].filter(Boolean).join(' — ')));
  const table = (rows) => el('table', {}, el('tbody', {}, ...rows));
  const fields = (s) => table(Object.entries(s.properties || {}).map(([name, p]) =>
    row(name, p, (s.required || []).includes(name), p.description)));

  // later adds to a box when it is first opened: there are many.
  const later = (box, make) => box.addEventListener('toggle', () => box.append(make()), { once: true });
  const operation = (method, path, op) => {
    const box = el('details', { id: op.operationId },
      el('summary', {}, el('span', { className: 'method' }, method.toUpperCase()), path,
        el('span', { className: 'about' }, op.summary || '')));
    if (op.description) box.append(el('p', {}, op.description));
    if (!(op.security || []).length) box.append(el('p', {}, 'Needs no token.'));
    if (op.parameters && op.parameters.length) {
      box.append(el('h3', {}, 'Parameters'), table(op.parameters.map((p) =>
        row(`${p.name} (${p.in})`, p.schema, p.required, p.description || (p.schema && p.schema.description)))));
    }
    if (op.requestBody) {
      box.append(el('h3', {}, 'Body' + (op.requestBody.required ? '' : ' (optional)')),
        ...Object.entries(op.requestBody.content).map(([type, media]) =>
          el('p', {}, el('code', {}, type), ' ', typeOf(media.schema))));
    }
    box.append(el('h3', {}, 'Answers'), table(Object.entries(op.responses).map(([status, r]) => {
      const media = Object.values(r.content || {})[0];
      return el('tr', {}, el('td', {}, el('code', {}, status)),
        el('td', {}, media ? typeOf(media.schema) : ''), el('td', {}, r.description || ''));
    })));
    later(box, () => attempt.call(method, path, op));
    return box;
  };

  // The events, as they are over the plain WebSocket.
  const channel = sockets && sockets.channels.plain;
  const eventBox = (op) => {
    const key = op.messages[0].$ref.split('/').pop();
    const message = channel.messages[key];
    const fromClient = op.action === 'receive';
    const box = el('details', { id: 'event-' + key },
      el('summary', {}, message.name, el('span', { className: 'about' }, op.summary || '')));
    const described = (heading, schema) => box.append(el('h3', {}, heading), el('pre', { tabIndex: 0 }, JSON.stringify(schema, null, 2)));
    const payload = message.payload.properties.data;
    const named = payload.$ref && sockets.components.schemas[nameOf(payload.$ref)];
    box.append(el('h3', {}, 'Data'));
    if (named && Object.keys(named.properties || {}).length) box.append(fields(named));
    else described('Schema', named || payload);
    if (fromClient) {
      described('Answer', channel.messages[key + '.answer'].payload.oneOf[0].properties.data);
      later(box, () => attempt.event(message.name, message));
    }
    return box;
  };
  const events = (action) => Object.values(sockets.operations)
    .filter((op) => op.action === action && op.channel.$ref.endsWith('/plain')).map(eventBox);
  const socketParts = channel ? [
    el('h2', {}, 'Socket events from clients'), ...events('receive'),
    el('h2', {}, 'Socket events from the server'), ...events('send'), attempt.wire,
    el('h2', {}, 'Socket types'),
    ...Object.entries(sockets.components.schemas).filter(([name]) => !api.components.schemas[name]).map(([name, s]) =>
      el('section', { id: name }, el('h3', {}, name), fields(s))),
  ] : [];

  root.replaceChildren(
    el('h1', {}, `${api.info.title} `, el('small', {}, api.info.version)),
    el('p', {}, api.info.description || ''),
    el('p', {}, el('a', { href: 'openapi.json' }, 'openapi.json'), ' ', sockets ? el('a', { href: 'asyncapi.json' }, 'asyncapi.json') : null),
    attempt.panel,
    el('h2', {}, 'Operations'),
    ...Object.entries(api.paths || {}).flatMap(([path, item]) =>
      ['get', 'post', 'put', 'patch', 'delete'].filter((m) => item[m]).map((m) => operation(m, path, item[m]))),
    ...socketParts,
    el('h2', {}, 'Types'),
    ...Object.entries((api.components || {}).schemas || {}).map(([name, s]) =>
      el('section', { id: name }, el('h3', {}, name), s.properties ? fields(s) : el('p', {}, typeOf(s)))));

  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === 'DETAILS') target.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener('hashchange', open);
  open();
})();
