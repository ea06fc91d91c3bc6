// Package nodebridge shares the rooms of namespaces with Node's servers over Redis. It
// speaks the protocols of @socket.io/redis-adapter 8, classic and sharded, and receives
// from @socket.io/redis-emitter. Each node of Moim takes part as one more server.
//
// What it receives is not trusted. A message has at most 16 MiB, is read in time that is
// linear in its size, and is dropped and counted if it is malformed. What it sends is
// always well-formed: Node's classic adapter ends its process on a message that is not.
//
// Nodes of Moim reach each other through their own adapter. They recognise each other
// here by their ids, ignore each other's events, and answer each other's questions with
// nothing, so that each can count the answers.
//
// The protocols: https://github.com/socketio/socket.io-redis-adapter.
package nodebridge
