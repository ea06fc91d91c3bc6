//go:build linux

package load

import "time"

// Plan says which connections to open, and how they stay open.
type Plan struct {
	Sessions []Session
	// Heartbeats holds the server's heartbeats, each with the client's answer.
	Heartbeats map[string]string
	// AtOnce is how many connections are being opened at a time.
	AtOnce int
}

// Session is one client: a WebSocket and what is said until it is subscribed.
type Session struct {
	Addr string // host:port of the node, by IP address
	Path string
	// Steps are taken one after the other; after the last one the session is
	// ready.
	Steps []Step
}

// Step waits for a message and answers it.
type Step struct {
	Await string // how the message begins; empty: wait for none
	Say   string // empty: nothing
}

// Counts is what arrived since the last [Generator.Reset].
type Counts struct {
	Messages int64
	P50, P99 time.Duration // from the time in the payload to its reading
	Lost     int           // connections that the server has closed, since they were opened
}
