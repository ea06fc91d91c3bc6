// Package recovery keeps sockets whose clients have lost their connections:
// https://socket.io/docs/v4/connection-state-recovery. It knows what such a client missed,
// and finds its socket on other nodes. [Store] is the main type. The package does not know
// what a socket does.
//
// A client comes back as the same socket, with its id, rooms and data, and gets the events
// that it missed. Until then its socket is parked: it stays in its rooms, on the node that
// had the connection. Each event has an offset as an additional argument. With it, the
// client says which event it saw last.
//
// The client may come back to any node. There, a new socket first joins the rooms, and then
// takes the missed events from the parked socket. If both receive an event, it is sent
// once, because its offset is the same on all nodes.
//
// The lock of the store and that of a history are never held together, and no socket is
// called under them.
package recovery

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/nodes"
)

const (
	// maxParked is the maximum number of parked sockets on a node.
	maxParked = 50_000
	// overlap is how long a taken-over socket passes on events that still reach it. twins
	// is how long events may come twice.
	overlap = time.Second
	twins   = 5 * overlap
	// maxSearching limits the search for a client's parked socket. After that, the client
	// gets a new socket.
	maxSearching = time.Second
	// secretLength is the length of the secret with which a client comes back (pid). It is
	// the length of two ids.
	secretLength = 40
)

// MaxReturning limits the take-over of a client's parked socket. After that, the client
// gets a new socket.
const MaxReturning = 2 * time.Second

// Socket is a socket that may be recovered.
type Socket interface {
	Namespace() string
	UserID() string
	// Away reports whether the client has no connection.
	Away() bool
	// Lose ends the connection, as if it were lost.
	Lose()
	// Forget removes a parked socket from its rooms. It does nothing for other sockets.
	Forget()
	// State returns the state of a parked socket, without the program's data.
	State() State
	// Data returns the program's data that JSON can encode, by type.
	Data() map[string]json.RawMessage
}

// Store keeps the recoverable sockets of a node. A nil Store keeps none. It is safe for
// concurrent use.
type Store struct {
	window time.Duration
	age    time.Duration // age of the oldest event that a client may ask for
	nodes  *nodes.Directory
	bytes  atomic.Int64 // size of all histories

	mu     sync.Mutex
	known  map[string]*Kept               // open and parked sockets, by secret
	heirs  map[string]func(*engine.Frame) // receive relayed events, by name
	taken  map[*Kept]bool                 // parked sockets that another one has taken over
	parked int                            // number of parked sockets

	last   atomic.Uint64 // the last offset
	relays chan relayed
}

// New returns a store that keeps sockets for window, or nil if window is 0. silence is the
// maximum time until a client notices that its connection is lost. New intercepts events of
// other nodes.
func New(window, silence time.Duration, n *nodes.Directory) *Store {
	if window == 0 {
		return nil
	}
	r := &Store{
		window: window,
		age:    window + silence,
		nodes:  n,
		known:  make(map[string]*Kept),
		heirs:  make(map[string]func(*engine.Frame)),
		taken:  make(map[*Kept]bool),
		relays: make(chan relayed, maxRelays),
	}
	r.serve()
	return r
}

// Offset returns a name for an event, or an empty string if the store is nil.
func (r *Store) Offset() string {
	if r == nil {
		return ""
	}
	return r.nodes.Node() + strconv.FormatUint(r.last.Add(1), 36)
}

// foreign is the first part of the offsets of a bridge's events. Each node makes its own
// offset for such an event, so an event that two nodes have received cannot be recognised.
// The node that takes over drops those that it received meanwhile, because the other node
// has them. None of them is relayed.
const foreign = "~"

// IsForeign reports whether a frame is an event of a bridge.
func IsForeign(f *engine.Frame) bool { return strings.HasPrefix(f.Offset(), foreign) }

// ForeignOffset returns a name for an event of a bridge.
func (r *Store) ForeignOffset() string {
	if r == nil {
		return ""
	}
	return foreign + r.Offset()
}

// Parked returns how many sockets are parked.
func (r *Store) Parked() float64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(r.parked)
}

// ForgetAll forgets all parked sockets.
func (r *Store) ForgetAll() {
	if r == nil {
		return
	}
	r.mu.Lock()
	var parked []Socket
	for _, k := range r.known {
		parked = append(parked, k.socket)
	}
	for k := range r.taken {
		parked = append(parked, k.socket)
	}
	r.mu.Unlock()
	for _, s := range parked {
		s.Forget()
	}
}

// find returns the parked socket of a secret. If the socket is still open, its connection
// is ended, because the client has a new one.
func (r *Store) find(ctx context.Context, c comeback) *Kept {
	r.mu.Lock()
	k := r.known[c.Secret]
	r.mu.Unlock()
	if k == nil || k.socket.Namespace() != c.Namespace {
		return nil
	}
	if !k.socket.Away() {
		k.socket.Lose()
	}
	select {
	case <-k.ended:
		return k
	case <-ctx.Done():
		return nil
	}
}
