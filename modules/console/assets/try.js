// Shows what a socket with the token of the page receives.

const most = 100; // frames that are shown
const tried = document.getElementById('tried');
const button = document.getElementById('subscribe');
const frames = document.getElementById('frames');

function show(text) {
  const item = document.createElement('li');
  item.textContent = text;
  frames.prepend(item);
  if (frames.children.length > most) frames.lastChild.remove();
}

button?.addEventListener('click', () => {
  button.disabled = true;
  const { token, group } = tried.dataset;
  const address = new URL('../ws', location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  const socket = new WebSocket(address, ['moim', `bearer.${token}`]);
  socket.onopen = () => {
    show('connected');
    if (group) socket.send(JSON.stringify({ id: 1, event: 'group:subscribe', data: { groupId: group, presence: true } }));
  };
  socket.onmessage = ({ data }) => show(data);
  socket.onclose = ({ code, reason }) => {
    show(`closed: ${code} ${reason}`);
    button.disabled = false;
  };
});
