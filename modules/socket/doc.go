// Package socket is the way in and the way out of a node's client
// connections: it turns messages into calls of typed handlers and their
// results into answers, and events into frames.
//
// A [Gateway] serves two doors to the same handlers. Over Socket.IO the
// answer is the acknowledgement, with one argument: {"data":…} or
// {"error":{code,message}}. Over a plain WebSocket a request {"id":1,
// "event":"…","data":…} is answered by {"id":1,"data":…} or {"id":1,
// "error":…}. An [Emitter] sends events to rooms on every node.
//
// The package knows rooms by name only; what an event means is the handlers'
// business, and which node a socket is on is the adapter's.
//
// The messages of one socket are handled one after the other, in the order in
// which they came; those of different sockets at the same time. What a client
// sent before its connection ended is still handled, for a few seconds at most.
// Binary events are not supported: they close the connection with a parse
// error.
//
// Lock order: a socket's, then the hub's or a connection's. A session's lock is
// held with no other.
package socket
