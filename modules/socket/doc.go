// Package socket serves client connections. It decodes messages, calls typed
// handlers, encodes their results as answers, and encodes events as frames.
//
// A [Gateway], made with [New], serves two endpoints with the same handlers. Over
// Socket.IO, the answer of an [On] handler is the acknowledgement, with one argument:
// {"data":…} or {"error":{code,message}}. An [OnRaw] handler acknowledges as Node's server
// does. Over a plain WebSocket, a request {"id":1,"event":"…","data":…} is answered by
// {"id":1,"data":…} or {"id":1,"error":…}. An [Emitter] sends events to the sockets of all
// nodes.
//
// A Socket.IO client may connect to several namespaces over one connection, and has a
// [Socket] in each. Clients of plain WebSockets are in the namespace "/".
//
// Handlers use [Socket] and [Emitter]. Modules reserve names of rooms and events with the
// [adapter.Hub], and use them through an [adapter.Owner], [ForModule] and [ModuleHandlers].
// This module reserves the rooms "user:" and "socket:" and the events "socket:". A
// program's call with a reserved name returns an [adapter.ReservedError].
//
// Messages of one socket are handled one at a time, in order. Messages of different sockets
// are handled concurrently. Messages that arrived before the connection ended are still
// handled, for at most a few seconds. Acknowledgements are not queued behind other
// messages, so a handler can wait for one.
//
// A [Target] of one room reaches the nodes that have sockets in the room. Every other
// request to sockets of other nodes is an envelope for one room that all nodes are
// subscribed to. Each node applies it to its own sockets. Package nodes carries questions
// and answers between nodes, and knows which nodes have not answered.
//
// A [Bridge] shares rooms with other servers. With [Config].Recovery, a Socket.IO client
// that lost its connection comes back as the same socket, on any node. Package recovery
// keeps the socket until then.
//
// # The write path
//
// The path of one event from its sender to the clients:
//
//	Emitter, adapter.Owner         data is JSON, encoded once; the names are checked
//	  Hub.sendLocal                builds one frame for each codec and sends it to the room's sockets
//	    Socket.send                holds frames back until the client knows that it is connected
//	      engine.Conn.Send         writes at once when idle, else gathers frames for socket.gather
//	  adapter.Adapter              carries the envelope to the nodes that have the room
//	    Hub.receive, sendLocal     there: the data goes into a frame without being decoded
//
// Invariants:
//
//   - The sender's goroutine writes. A delivery takes only the socket's own lock and
//     allocates nothing. No step waits for a client. A send to more than a thousand
//     sockets is split among processors, and is done when Emit returns.
//   - Events that one goroutine sends to a room reach each socket in order, on all
//     nodes. Events of different senders have no order; the group module adds one.
//   - A node receives envelopes only for rooms that its sockets are in.
//   - After Leave or close has returned, new broadcasts do not reach the socket.
//   - A client that does not read costs its backlog (socket.max.backlog) and one
//     goroutine, until it is closed.
//
// Package engine documents how frames are gathered, limited and written, and how
// connections end.
//
// Lock order: a socket is locked before the hub, the recovery, a history or a connection. A
// history or a session is locked before a connection.
package socket
