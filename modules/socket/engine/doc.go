// Package engine owns connections. It accepts them over WebSocket and HTTP long
// polling, keeps them alive and moves opaque messages. It knows no packets of
// Socket.IO, rooms or events.
//
// A connection speaks one of two protocols: Engine.IO v4, which
// socket.io-client uses, or plain WebSocket messages.
//
// # Polling
//
// A connection that begins with HTTP long polling has no transport. Its frames wait in the
// queue until a GET request takes them. The packets of POST requests are its input. The
// client may open a WebSocket and probe it. When the client asks for the upgrade, the
// WebSocket becomes the connection's transport. Until then, the WebSocket is a separate
// connection.
//
// # Reading
//
// The engine checks the handshake and then hijacks the connection from net/http. One of two
// readers serves the connection:
//
//   - On Linux, the poller reads from plain TCP and Unix sockets. One goroutine
//     waits on epoll for all of them, reads into one buffer, parses the frames
//     and passes whole messages to the [Receiver]. An idle connection keeps
//     neither a goroutine nor a buffer.
//   - melody reads from all others: TLS connections, connections that a listener
//     has wrapped, and every connection on other systems. Each has a goroutine.
//
// Both readers enforce RFC 6455 with the same close codes. The tests run over both.
//
// Invariants:
//
//   - A receiver does not block. If it cannot keep up it pauses the connection,
//     and the client's data waits in the network.
//   - The poller reads at most 16 KiB from one connection before it turns to the
//     next. Of incomplete input it keeps at most one frame and one message, each
//     of at most Config.MaxFrame bytes.
//   - The poller's descriptors are closed only after epoll has dropped them. To
//     cut a connection is to shut it down; the poller then sees the end.
//
// # The write path
//
// A [Frame] is a whole WebSocket frame, encoded once for all its receivers.
// [Conn.Send] never blocks. It writes the first frame after an idle moment
// directly, with a non-blocking write: no queue, no goroutine, no allocation. It
// queues frames that follow within [Config].Gather. One timer of the engine
// writes the queues of all connections whose gathering windows began together. A
// goroutine of the connection writes what the network does not take at once.
//
// Invariants:
//
//   - Frames leave in the order of their Send calls, each at most once. None
//     follows a lost one.
//   - At most one write of a connection runs at a time: by a sender, by the
//     gatherer or by the connection's goroutine. A connection whose client keeps
//     reading needs no goroutine to write, and an idle one has no queue. A
//     connection ends after its write, and [Engine.Drain] waits for the ends.
//   - A frame waits at most Config.Gather for other frames.
//   - At most Config.MaxBacklog bytes are queued, including those being written,
//     or else a single larger frame. Exceeding it closes the connection as
//     [SlowConsumer] and drops the queue. Long bursts are written before their
//     window ends, so that gathering alone never exceeds the limit.
//   - After a failed write, which may have cut a frame in two, the engine writes
//     nothing more.
//   - The close frame is last in the queue. One second later the connection is
//     cut.
//
// A write to a melody connection can block in TLS or in the wrapper, so a goroutine always
// makes it. Gathered frames are copied into one buffer, because a vectored write would make
// one system call and one TLS record for each frame.
//
// A connection's lock is held during a sender's non-blocking write, but never during a
// goroutine's write or a call of a [Receiver]. Lock order: a heartbeat or the engine before
// a connection, and a connection before the gatherer or the poller. A WebSocket that is
// being probed is locked before its session.
package engine
