//go:build linux

package load

import "time"

// Plan describes the connections to open, and how they stay open.
type Plan struct {
	Sessions []Session
	// Heartbeats has the server's heartbeats, each with the client's answer.
	Heartbeats map[string]string
	// Stamped makes the latency of a message end when the kernel receives it, so that
	// waiting for a processor in this process does not count.
	Stamped bool
	// ReadEvery is how long messages are left unread once all connections are open, so that
	// reading needs fewer processors; 0 means not at all. Latency includes this wait.
	ReadEvery time.Duration
	// AtOnce is the number of connections that are opened at the same time.
	AtOnce int
}

// Session describes one client: a WebSocket, and the steps until it is subscribed.
type Session struct {
	Addr string // host:port of the node, by IP address
	Path string
	// Polling says that the client uses HTTP long polling alone, in place of a
	// WebSocket, as socket.io-client does it. It does not resume.
	Polling bool
	// Steps are carried out in order. After the last one, the session is ready.
	Steps []Step
	// Resume lets the client come and go. If it is nil, the client stays.
	Resume *Resume `json:",omitempty"`
}

// EngineIO returns a session of Socket.IO.
func EngineIO(addr string, polling bool, steps ...Step) Session {
	transport := "websocket"
	if polling {
		transport = "polling"
	}
	return Session{Addr: addr, Path: "/socket.io/?EIO=4&transport=" + transport, Polling: polling, Steps: steps}
}

// Resume describes how a client subscribes again and requests the messages that it missed.
type Resume struct {
	// Marker precedes, in a message, a number that says how far the client has come. The
	// last such number replaces [Seen] in the steps.
	Marker      string
	Reconnect   []Step // over a new connection
	Resubscribe []Step // over the same connection: unsubscribe, subscribe
}

// Seen stands for the last number in the steps of [Resume].
const Seen = "$seen"

// Churn is the number of clients that come and go per second. Each needs a [Resume].
type Churn struct {
	Reconnects   int // close the connection and open another
	Resubscribes int // unsubscribe and subscribe
}

// Step waits for a message and answers it.
type Step struct {
	Await string // how the message begins; empty: wait for none
	Say   string // empty: nothing
}

// Counts are measurements since the last [Generator.Reset].
type Counts struct {
	Messages   int64
	P50, P99   time.Duration // from the time in the payload to its reading, or its receipt
	Subscribed int           // how often a client became subscribed: by coming back, once all are open
	Away       int           // clients that are not subscribed now
	Lost       int           // connections that the server has closed, since they were opened
}
