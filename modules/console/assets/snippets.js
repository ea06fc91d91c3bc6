// Code to copy, with a token that works.

export const snippets = ({ origin, path, token, groupId }) => {
  const ws = origin.replace('http', 'ws');
  const socketPath = path === '/' ? '' : `, path: "${path}socket.io/"`;
  return {
    'socket.io-client': `import { io } from "socket.io-client";

const socket = io("${origin}", { auth: { token: "${token}" }${socketPath} });
const groupId = "${groupId}";
let since; // the version of the last event

socket.on("connect", async () => {
  const { data, error } = await socket.emitWithAck("group:subscribe", { groupId, since });
  if (error) return console.error(error);
  since ??= data.version;
  await socket.emitWithAck("group:message", { groupId, type: "chat", data: { text: "Hello from socket.io" } });
});
socket.on("group:event", (event) => {
  since = event.version;
  console.log(event.version, event.type, event.data);
});`,
    WebSocket: `const socket = new WebSocket("${ws}${path}ws", ["moim", "bearer.${token}"]);
const groupId = "${groupId}";

socket.onopen = () => {
  socket.send(JSON.stringify({ id: 1, event: "group:subscribe", data: { groupId } }));
  socket.send(JSON.stringify({ id: 2, event: "group:message", data: { groupId, type: "chat", data: { text: "Hello from a WebSocket" } } }));
};
socket.onmessage = ({ data }) => console.log(JSON.parse(data));`,
    curl: `curl ${origin}${path}v1/groups/${groupId}/messages \\
  -H 'Authorization: Bearer ${token}' \\
  -H 'Content-Type: application/json' \\
  -d '{"type": "chat", "data": {"text": "Hello from curl"}}'`,
  };
};
