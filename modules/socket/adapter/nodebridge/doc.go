// Package nodebridge shares the rooms of namespaces with Node's servers over Redis. A
// [Bridge] implements the protocols of @socket.io/redis-adapter 8, classic and sharded, and
// receives from @socket.io/redis-emitter. Each node of Moim takes part as another server.
//
// Received messages are not trusted. A message has at most 16 MiB and is decoded in linear
// time. A malformed one is dropped and counted. Sent messages are always well-formed,
// because a malformed message ends the process of Node's classic adapter.
//
// Nodes of Moim reach each other through their own adapter. Here they recognise each other
// by their ids and ignore each other's events. They answer each other's questions with an
// empty answer, so that each node can count the answers.
//
// The protocols: https://github.com/socketio/socket.io-redis-adapter.
package nodebridge
