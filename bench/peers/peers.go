//go:build linux

// Package peers is what the servers of the delivery bench have in common. Each
// is in a package of its own and takes part as it is usually run.
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
	// Start runs it on a host. It returns an error that wraps
	// [host.ErrMissing] where something that it needs is not installed.
	Start(ctx context.Context, on *host.Host, need Need) (*Cluster, error)
}

// Need says what a row asks for.
type Need struct {
	Nodes   int
	Idle    int // nodes more, which nobody connects to
	Rooms   int
	Members int // of each room
	// Large is how many members one more room has, number Rooms; 0: there is
	// none.
	Large  int
	Stored bool // what is posted is to be stored
	// Polling says that clients use HTTP long polling alone. Not all servers
	// can do that.
	Polling bool
}

// Sizes are the rooms' numbers of members.
func (n Need) Sizes() []int {
	sizes := slices.Repeat([]int{n.Members}, n.Rooms)
	if n.Large > 0 {
		sizes = append(sizes, n.Large)
	}
	return sizes
}

// All is how many nodes to start.
func (n Need) All() int { return n.Nodes + n.Idle }

// Redis reports whether there are several nodes.
func (n Need) Redis() bool { return n.All() > 1 }

// Cluster is a server that runs, on one or several nodes.
type Cluster struct {
	Addrs []string // host:port of each node
	PIDs  []int    // of the nodes
	// Session is how a member of a room connects to a node and subscribes.
	Session func(addr string, room, member int) load.Session
	// Resumable is the same for a client that comes and goes; nil where the
	// server does not send what was missed.
	Resumable  func(addr string, room, member int) load.Session
	Heartbeats map[string]string
	// Request makes the request by which a payload is sent to a room.
	Request func(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error)
	// Config tells how the server was configured.
	Config string
}
