// Package socket is the way in and the way out of a node's client
// connections: it turns messages into calls of typed handlers and their
// results into answers, and events into frames.
//
// A [Gateway] serves two endpoints to the same handlers. Over Socket.IO the
// answer is the acknowledgement, with one argument: {"data":…} or
// {"error":{code,message}}. Over a plain WebSocket a request {"id":1,
// "event":"…","data":…} is answered by {"id":1,"data":…} or {"id":1,
// "error":…}. An [Emitter] sends events to rooms on every node.
//
// The package knows rooms by name only; what an event means is the handlers'
// business, and which node a socket is on is the adapter's.
//
// Rooms "user:" and events "socket:" are the package's own. Other modules
// reserve theirs with the hub. A program's calls with such a name return an
// [adapter.ReservedError]; [Emitter.ToUser] sends to a user's room.
//
// The messages of one socket are handled one after the other, in the order in
// which they came; those of different sockets at the same time. What a client
// sent before its connection ended is still handled, for a few seconds at most.
// Binary events are not supported: they close the connection with a parse
// error.
//
// # The write path
//
// One event on its way from whoever sends it to the clients:
//
//	Emitter, adapter.Owner         data is JSON, encoded once by the caller; the names are checked
//	  adapter.Owner.Local          a frame for each codec, built once; the room's sockets one after the other
//	    Socket.Send                held back until the client was told that it is connected
//	      engine.Conn.Send         write(2) at once after a quiet moment, else gathered for socket.gather
//	    Socket.Queue               the same of a stored event that comes right behind another: gathered, quiet or not
//	  adapter.Adapter              the same envelope to the nodes that have the room: Publish waits for Redis; Cast does not, and comes first
//	    Owner.Local                there: the data goes into a frame as it came, nothing is decoded
//
// What holds:
//
//   - The sender writes, in the sender's own goroutine: no hand-over, no allocation
//     and no lock but the socket's own for each delivery. Nothing on the way
//     waits for a client. A room of more than a thousand sockets is shared
//     among processors, and sent to before Local returns.
//   - Two events that one goroutine sends to a room reach each socket in that
//     order, on this node and on the others. Events of different senders have
//     no order; the group module gives them one.
//   - A node hears of rooms that it has sockets in, and of no others.
//   - A socket that has left a room, or was closed, when Leave or close
//     returned is sent nothing more by broadcasts that begin after that.
//   - A client that does not read costs its backlog (socket.max.backlog) and,
//     while the network takes nothing, one goroutine; then it is closed.
//
// How frames are gathered, bounded and written, and what is true of a
// connection's end, is the package documentation of engine.
//
// Lock order: a socket's, then the hub's or a connection's; a session's, then a
// connection's.
package socket
