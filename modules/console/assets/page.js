// The page: two members of one group, side by side.
import { Member } from './member.js';
import { base, http } from './wire.js';
import { snippets } from './snippets.js';

const guests = JSON.parse(document.getElementById('guests').textContent);
const names = new Map([guests.host, ...guests.members].map(({ id, name }) => [id, name]));
const nameOf = (id) => names.get(id) ?? id ?? 'Moim';

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// describe puts an event into words.
const describe = ({ type, actor, data }) => {
  switch (type) {
    case 'message.posted':
      return `${nameOf(actor)}: ${data.data?.text ?? JSON.stringify(data.data)}`;
    case 'group.created':
      return `${nameOf(actor)} created ${data.name}`;
    case 'member.joined':
      return `${nameOf(data.userId)} joined`;
    case 'member.left':
      return `${nameOf(data.userId)} left`;
    default:
      return `${type} ${JSON.stringify(data)}`;
  }
};

// fill shows items in a list, and keeps its end in view unless the reader has scrolled up.
const shown = new WeakMap(); // list -> the first of the items that it shows
const fill = (list, items, make) => {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  if (shown.get(list) !== items[0]) list.replaceChildren();
  shown.set(list, items[0]);
  for (const item of items.slice(list.childElementCount)) list.append(make(item));
  if (atEnd) list.scrollTop = list.scrollHeight;
};

const words = { connecting: 'connecting', connected: 'connected', cut: 'connection cut' };

// card shows a member.
function card(user, groupId) {
  const view = document.getElementById('member').content.cloneNode(true).firstElementChild;
  const part = (name) => view.querySelector(`[data-${name}]`);
  const member = new Member(user, groupId, base().host, () => schedule());
  view.setAttribute('aria-label', user.name);
  part('name').textContent = user.name;
  part('log').setAttribute('aria-label', `Events that ${user.name} received`);
  part('wire').setAttribute('aria-label', `Frames of ${user.name}`);
  part('address').value = member.address;

  let drawing = false;
  const schedule = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      draw();
    });
  };

  const draw = () => {
    view.dataset.status = member.status;
    part('state').textContent = words[member.status] + (member.joined ? '' : ', not a member');
    part('membership').disabled = member.status !== 'connected';
    part('send').disabled = !member.joined;
    part('cut').textContent = member.status === 'cut' ? 'Connect again' : 'Cut the connection';
    part('cut').setAttribute('aria-pressed', String(member.status === 'cut'));
    part('membership').textContent = member.joined ? 'Leave' : 'Join';
    part('version').textContent = member.joined ? member.version : '–';
    part('caught').textContent = member.hole || member.problem || member.caughtUp;
    part('people').replaceChildren(...[...member.people].map(([id, { name, status }]) =>
      element('li', { className: status }, `${names.get(id) ?? name}: ${status}`)));
    fill(part('log'), member.log, (event) => element('li', { value: event.version }, describe(event)));
    fill(part('wire'), member.frames, ({ direction, text }) =>
      element('li', { className: direction }, element('b', {}, direction === 'in' ? '← ' : '→ '), text));
    part('typing').textContent = member.typist ? `${nameOf(member.typist)} is typing…` : '';
  };

  // attempt shows why something was refused.
  const attempt = async (action) => {
    try {
      await action();
    } catch (error) {
      member.problem = `${error.code ?? 'error'}: ${error.message}`;
      schedule();
    }
  };

  const showNode = async () => {
    part('node').textContent = '';
    try {
      const response = await fetch(new URL('healthz', base(member.address)));
      part('node').textContent = (await response.json()).node ?? '';
    } catch {
      part('node').textContent = 'no answer, or this page is not in its http.origins';
    }
  };

  const connect = () => {
    member.caughtUp = member.problem = '';
    member.connect(part('address').value.trim() || base().host);
    showNode();
  };
  part('cut').onclick = () => (member.status === 'cut' ? connect() : member.cut());
  part('address').onchange = connect;
  part('membership').onclick = () => attempt(() => (member.joined ? member.leave() : member.join()));
  part('text').oninput = () => member.joined && member.typing();
  part('form').onsubmit = (event) => {
    event.preventDefault();
    const text = part('text').value.trim();
    if (!text) return;
    attempt(async () => {
      await member.send(text);
      part('text').value = '';
    });
  };

  connect();
  attempt(() => member.join());
  return view;
}

function showSnippets(groupId) {
  const { origin, pathname } = base();
  const all = snippets({ origin, path: pathname, token: guests.members[0].token, groupId });
  document.getElementById('snippets').replaceChildren(...Object.entries(all).map(([name, code]) => {
    const copy = element('button', { type: 'button' }, 'Copy');
    copy.setAttribute('aria-label', `Copy the code for ${name}`);
    copy.onclick = async () => {
      await navigator.clipboard.writeText(code);
      copy.textContent = 'Copied';
      setTimeout(() => (copy.textContent = 'Copy'), 2000);
    };
    const text = element('pre', { tabIndex: 0 }, element('code', {}, code));
    text.setAttribute('aria-label', `Code for ${name}`);
    return element('details', { open: name === 'curl' }, element('summary', {}, name), copy, text);
  }));
}

async function start() {
  const status = document.getElementById('status');
  try {
    const group = await http('', guests.host.token, 'POST', '/groups',
      { name: 'Study room', visibility: 'public', joinPolicy: 'open' });
    document.getElementById('members').replaceChildren(...guests.members.map((user) => card(user, group.id)));
    showSnippets(group.id);
    status.textContent = `Group ${group.id}. Its host made it; the two may leave and join again.`;
  } catch (error) {
    status.textContent = `The group was not created: ${error.message}`;
  }
}

start();
