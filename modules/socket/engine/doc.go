// Package engine owns connections: it accepts them over WebSocket, keeps them
// alive and moves opaque messages. It knows no packets, rooms or events.
//
// Two protocols run over it: Engine.IO v4, which socket.io-client speaks, and
// plain WebSocket messages.
//
// # The write path
//
// A [Frame] is a whole WebSocket frame, built once for all who receive it.
// [Conn.Send] puts a pointer to it into the connection's queue, under one small
// mutex, and never blocks. The first frame after a quiet moment is written at
// once; frames that follow within the gathering window are written together,
// by one system call. What holds:
//
//   - Frames leave in the order they were sent.
//   - At most one flush is under way for a connection: it is running, or a timer
//     will run it. A quiet connection has no writing goroutine.
//   - The queue holds at most Config.MaxBacklog bytes, those being written
//     included. A connection that would exceed it is cut as a slow consumer,
//     and the sender goes on.
//   - Every write goes straight to the net.Conn, and is of whole frames. net.Conn
//     writes one call after the other, so that gorilla's own control frames
//     (after a protocol error) fall between ours. Nothing is written through
//     melody's pump.
package engine
