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
// once; those that follow within [Config].Gather are written together. What
// holds:
//
//   - Frames leave in the order they were sent, each at most once, none after
//     one that was lost.
//   - At most one flush of a connection is under way: a goroutine writes, or a
//     timer will start one. A quiet connection has no goroutine for writing and
//     no queue. The connection's reading goroutine waits for the flush before
//     it ends, and [Engine.Stop] for the reading goroutines.
//   - At most Config.MaxBacklog bytes are queued, those being written included,
//     or else a single larger frame. A connection that would exceed it is
//     closed as [SlowConsumer]: what is not being written yet is let go, and
//     the sender goes on. A burst does not wait for the gathering window, so
//     that gathering alone makes no slow consumer.
//   - Every call to the net.Conn writes whole frames, and the net.Conn executes
//     such calls one after the other. So gorilla's own close frames (after a
//     violation of WebSocket) fall between ours. Nothing is written through
//     melody's pump or gorilla's message writer.
//   - After a write that failed, perhaps in the middle of a frame, nothing is
//     written any more.
//   - The goodbye is the last thing in the queue. From then on the connection
//     has a second until it is cut.
//
// Gathered frames are copied into one buffer rather than handed over as a
// vector: under TLS, or on a wrapped listener, a vector is one system call and
// one TLS record a frame, and Go keeps a vector's memory for each connection.
//
// No lock is held while writing or calling a [Receiver]. Lock order: a
// heartbeat's or the engine's before a connection's.
package engine
