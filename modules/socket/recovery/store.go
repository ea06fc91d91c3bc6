// Package recovery keeps sockets whose clients have lost their connections:
// https://socket.io/docs/v4/connection-state-recovery. It knows what such a client missed, and
// finds its socket on other nodes. It does not know what a socket does.
//
// A client comes back as the same socket: with its id, rooms and data, and it is sent what it
// missed. Until then its socket is parked: it stays in its rooms, on the node that had the
// connection. Events have an offset as an additional argument, by which the client says what
// it saw last.
//
// The client may come back to any node. A new socket there first joins the rooms, then takes
// the missed events from the parked one. What both receive is sent once, because an event has
// the same offset everywhere.
//
// Lock order: the store, or the history of a socket. No socket is called under them.
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
	// maxParked bounds the parked sockets of a node.
	maxParked = 50_000
	// overlap is how long a socket that was taken over passes on what still reaches it, and
	// twins how long its events may come twice.
	overlap = time.Second
	twins   = 5 * overlap
	// maxSearching is how long a client waits until its parked socket is found. Then it is a
	// new one.
	maxSearching = time.Second
	// secretLength is the length of the secret by which a client comes back: pid. It is that
	// of two ids.
	secretLength = 40
)

// MaxReturning is how long a client waits until its parked socket is taken over. Then it is a
// new one.
const MaxReturning = 2 * time.Second

// Socket is a socket that may be recovered.
type Socket interface {
	Namespace() string
	UserID() string
	// Away reports whether the client has no connection.
	Away() bool
	// Lose ends the connection.
	Lose()
	// Forget removes a parked socket from its rooms. It does nothing for others.
	Forget()
	// State returns the state of a parked socket, without the program's data.
	State() State
	// Data returns the program's data as far as JSON can hold it, by type.
	Data() map[string]json.RawMessage
}

// Store keeps the sockets of a node that may be recovered. A nil Store keeps none. Its methods
// may be called concurrently.
type Store struct {
	window time.Duration
	age    time.Duration // of the oldest event that a client may ask for
	nodes  *nodes.Directory
	bytes  atomic.Int64 // of all histories

	mu     sync.Mutex
	known  map[string]*Kept               // of open and parked sockets, by their secret
	heirs  map[string]func(*engine.Frame) // get relayed events, by name
	taken  map[*Kept]bool                 // of parked sockets that another one has taken over
	parked int                            // how many have a timer

	last   atomic.Uint64 // of the offsets
	relays chan relayed
}

// New returns a store that keeps sockets for a window, or nil if that is 0. A client notices
// that its connection is lost after silence at most. New intercepts events of other nodes.
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

// Offset returns a name for an event, or an empty string without a store.
func (r *Store) Offset() string {
	if r == nil {
		return ""
	}
	return r.nodes.Node() + strconv.FormatUint(r.last.Add(1), 36)
}

// foreign begins the offsets of a bridge's events. Each node names such an event by itself, so
// that an event which two nodes have received cannot be recognised. The one that takes over
// drops those that it has received meanwhile, because the other one has them, and none is
// relayed.
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

// ForgetAll forgets the parked sockets.
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

// find returns the parked socket of a secret. One that is still open loses its connection:
// the client has another one.
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
