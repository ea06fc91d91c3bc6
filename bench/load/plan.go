//go:build linux

package load

import "time"

// Plan says which connections to open, and how they stay open.
type Plan struct {
	Sessions []Session
	// Heartbeats holds the server's heartbeats, each with the client's answer.
	Heartbeats map[string]string
	// Stamped ends a message's latency when the kernel has received it, not when
	// it is read: the wait of this process for a processor does not count.
	Stamped bool
	// ReadEvery is how long what arrives is left unread once all connections are
	// open, so that reading takes fewer of the machine's processors; 0: not at all.
	// Latency includes that wait.
	ReadEvery time.Duration
	// AtOnce is how many connections are being opened at a time.
	AtOnce int
}

// Session is one client: a WebSocket and what is said until it is subscribed.
type Session struct {
	Addr string // host:port of the node, by IP address
	Path string
	// Polling says that the client uses HTTP long polling alone, in place of a
	// WebSocket, as socket.io-client does it. It does not resume.
	Polling bool
	// Steps are taken one after the other; after the last one the session is
	// ready.
	Steps []Step
	// Resume lets the client come and go; nil: it stays.
	Resume *Resume `json:",omitempty"`
}

// EngineIO is a session of Socket.IO.
func EngineIO(addr string, polling bool, steps ...Step) Session {
	transport := "websocket"
	if polling {
		transport = "polling"
	}
	return Session{Addr: addr, Path: "/socket.io/?EIO=4&transport=" + transport, Polling: polling, Steps: steps}
}

// Resume is how a client subscribes again and asks for what it has missed.
type Resume struct {
	// Marker precedes, in a message, the number by which a client says how far
	// it has come. The last such number replaces [Seen] in what the steps say.
	Marker      string
	Reconnect   []Step // over a new connection
	Resubscribe []Step // over the same connection: unsubscribe, subscribe
}

// Seen stands for the last number seen in [Resume]'s steps.
const Seen = "$seen"

// Churn is how many clients a second come and go. Each has a [Resume].
type Churn struct {
	Reconnects   int // close the connection and open another
	Resubscribes int // unsubscribe and subscribe
}

// Step waits for a message and answers it.
type Step struct {
	Await string // how the message begins; empty: wait for none
	Say   string // empty: nothing
}

// Counts is what arrived since the last [Generator.Reset].
type Counts struct {
	Messages   int64
	P50, P99   time.Duration // from the time in the payload to its reading, or its receipt
	Subscribed int           // how often a client became subscribed: by coming back, once all are open
	Away       int           // clients that are not subscribed now
	Lost       int           // connections that the server has closed, since they were opened
}
