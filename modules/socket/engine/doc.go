// Package engine owns connections: it accepts them over WebSocket, keeps them
// alive and moves opaque messages. It knows no packets, rooms or events.
//
// Two protocols run over it: Engine.IO v4, which socket.io-client speaks, and
// plain WebSocket messages.
//
// # Reading
//
// The engine takes a connection over from net/http once its handshake is found
// valid. On Linux, where nothing but the kernel is behind a connection, melody's
// Upgrader upgrades it and the engine's poller reads: one goroutine waits for all
// of them, reads into one buffer, takes the frames apart and hands whole messages
// to the [Receiver]. An idle connection keeps neither a goroutine nor a buffer.
//
// A connection under TLS or of a wrapped listener goes to melody's HandleRequest,
// in a goroutine of the engine's; so do all of them on other systems. melody
// then reads from it. Both readers break the same rules of RFC 6455 off with the
// same codes; the tests run over both.
//
// What holds:
//
//   - A receiver does not block. One that has enough pauses the connection, and
//     what the client sends waits in the network.
//   - Of one connection at most 16 KiB are read before the next one's turn. Of
//     what has come in part a frame and a message are kept at most, of
//     Config.MaxFrame each.
//   - The descriptor of a connection that the poller reads from is closed after
//     the poller has left it: what cuts a connection shuts it down, and the
//     poller notices.
//   - When the client says that it sends no more, what it has asked for is
//     answered first: see [Receiver].
//
// # The write path
//
// A [Frame] is a whole WebSocket frame, built once for all who receive it.
// [Conn.Send] is called by whoever broadcasts, and never blocks. The first
// frame after a quiet moment it writes itself, without a queue, a goroutine or
// an allocation, and without waiting: a write to a socket that is full takes
// nothing. Frames that follow within [Config].Gather are queued, and one timer
// of the engine writes them together, for all connections whose windows began
// meanwhile. What the network does not take at once is left to a goroutine of
// the connection, which waits in Go's poller. [Conn.Queue] is for frames that
// come right behind others, so fast that to write each at once to all of a large
// room would take longer than the time between them. What holds:
//
//   - Frames leave in the order they were sent, each at most once, none after
//     one that was lost.
//   - At most one write of a connection is under way: by a sender, by the
//     gatherer or by its goroutine. A connection whose client reads has no
//     goroutine for writing, and a quiet one no queue. A connection's end waits
//     for the write, and [Engine.Stop] for the connections' ends.
//   - A frame waits at most Config.Gather for others.
//   - At most Config.MaxBacklog bytes are queued, those being written included,
//     or else a single larger frame. A connection that would exceed it is
//     closed as [SlowConsumer]: what is not being written yet is let go, and
//     the sender goes on. A burst does not wait for the gathering window, so
//     that gathering alone makes no slow consumer.
//   - The poller's connections are written to by the engine alone once they are
//     upgraded. Where melody reads, gorilla writes too: it tells a client by
//     itself what it broke. There all frames go through gorilla, one writer at a
//     time, and gorilla drops what would follow a close frame. melody's own
//     pump for writing has nothing to do.
//   - After a write that failed, perhaps in the middle of a frame, nothing is
//     written any more.
//   - The goodbye is the last thing in the queue. From then on the connection
//     has a second until it is cut.
//
// Where melody reads nothing can be written without waiting in the worst case:
// every write is a goroutine's there.
//
// Gathered frames are copied into one buffer rather than handed over as a
// vector: under TLS, or on a wrapped listener, a vector is one system call and
// one TLS record a frame, and Go keeps a vector's memory for each connection.
//
// The lock of a connection is held while a sender writes, which does not wait,
// and never while a goroutine does or a [Receiver] is called. Lock order: a
// heartbeat's or the engine's before a connection's, the gatherer's and the
// poller's after it.
package engine
