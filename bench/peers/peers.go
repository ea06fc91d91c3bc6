//go:build linux

// Package peers is what the servers of the delivery benchmark have in common. Each server
// has its own package and is configured as usual.
package peers

import (
	"context"
	"net/http"
	"slices"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
)

// Peer is a server to compare.
type Peer interface {
	Name() string
	// Start runs the server on a host. It returns an error that wraps [host.ErrMissing] if
	// a program that it needs is not installed.
	Start(ctx context.Context, on *host.Host, need Need) (*Cluster, error)
}

// Need describes what a row needs.
type Need struct {
	Nodes   int
	Idle    int // nodes more, which nobody connects to
	Rooms   int
	Members int // of each room
	// Large is the number of members in an additional room, which has the number Rooms; 0
	// means that there is none.
	Large  int
	Stored bool // what is posted is to be stored
	// Polling means that clients use only HTTP long polling, which not all servers support.
	Polling bool
}

// Sizes returns the rooms' numbers of members.
func (n Need) Sizes() []int {
	sizes := slices.Repeat([]int{n.Members}, n.Rooms)
	if n.Large > 0 {
		sizes = append(sizes, n.Large)
	}
	return sizes
}

// All returns the number of nodes to start.
func (n Need) All() int { return n.Nodes + n.Idle }

// Redis reports whether there are several nodes.
func (n Need) Redis() bool { return n.All() > 1 }

// Cluster is a running server, on one or several nodes.
type Cluster struct {
	Addrs []string // host:port of each node
	PIDs  []int    // of the nodes
	// Session returns the session of a room's member that connects to a node and
	// subscribes.
	Session func(addr string, room, member int) load.Session
	// Resumable is the same for a client that comes and goes. It is nil if the server does
	// not send missed messages.
	Resumable  func(addr string, room, member int) load.Session
	Heartbeats map[string]string
	// Request returns a request that sends a payload to a room.
	Request func(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error)
	// Config describes the configuration of the server.
	Config string
}
