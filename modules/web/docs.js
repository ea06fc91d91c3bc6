(async () => {
  const el = (tag, props, ...children) => {
    const node = Object.assign(document.createElement(tag), props || {});
    node.append(...children.filter((c) => c !== undefined && c !== null));
    return node;
  };
  const root = document.getElementById('api');
  // Relative to this page, so that it works under any prefix.
  const answer = await fetch(new URL('openapi.json', location.href.replace(/\/docs\/?([?#].*)?$/, '/')));
  if (!answer.ok) {
    root.textContent = 'openapi.json: ' + answer.status;
    return;
  }
  const api = await answer.json();

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
    return box;
  };

  root.replaceChildren(
    el('h1', {}, `${api.info.title} `, el('small', {}, api.info.version)),
    el('p', {}, api.info.description || ''),
    el('p', {}, el('a', { href: 'openapi.json' }, 'openapi.json')),
    el('h2', {}, 'Operations'),
    ...Object.entries(api.paths || {}).flatMap(([path, item]) =>
      ['get', 'post', 'put', 'patch', 'delete'].filter((m) => item[m]).map((m) => operation(m, path, item[m]))),
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
