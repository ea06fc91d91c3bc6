package recovery

import (
	"sync"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// Kept is a recoverable socket and its last events. It is safe for concurrent use.
type Kept struct {
	store   *Store
	socket  Socket
	secret  string
	history *history
	ended   chan struct{} // closed by end
	end     func()
	timer   *time.Timer // forgets the parked socket; guarded by store.mu
}

// Offer returns the Kept of a new socket. If its client comes back, from is set, and the
// new socket gets the secret of the parked one. A client can come back to it only after
// [Kept.Know].
func (r *Store) Offer(s Socket, from *Returning) *Kept {
	ended := make(chan struct{})
	k := &Kept{
		store:   r,
		socket:  s,
		history: &history{all: &r.bytes, age: r.age},
		ended:   ended,
		end:     sync.OnceFunc(func() { close(ended) }),
	}
	if from != nil {
		k.secret = from.Secret
	} else {
		k.secret = engine.NewID() + engine.NewID()
	}
	return k
}

// Secret returns the secret that the client needs to come back.
func (k *Kept) Secret() string { return k.secret }

// Know makes the socket known, so that its client can come back.
func (k *Kept) Know() {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.known[k.secret] = k
}

// End records that the handlers of the socket have ended. Another socket can take over only
// then.
func (k *Kept) End() { k.end() }

// Add records an event and calls send unless the event was sent before. send must not
// block.
func (k *Kept) Add(f *engine.Frame, send func(*engine.Frame)) { k.history.add(f, send) }

// Miss records an event that cannot be sent, or passes it to the socket that has taken
// over.
func (k *Kept) Miss(f *engine.Frame) { k.history.miss(f) }

// MayReturn reports whether a client can come back after its connection has ended for a
// reason. The reasons are those of Node's server.
func MayReturn(reason engine.Reason) bool {
	switch reason {
	case engine.TransportClose, engine.TransportError, engine.PingTimeout, engine.Drained:
		return true
	}
	return false
}

// Park keeps a socket whose connection has ended until it is forgotten. It returns false if
// the socket is unknown or too many sockets are parked.
func (k *Kept) Park() bool {
	r := k.store
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parked >= maxParked || r.known[k.secret] != k {
		return false
	}
	r.parked++
	k.timer = time.AfterFunc(r.window, k.socket.Forget)
	return true
}

// Release stops keeping a socket.
func (k *Kept) Release() {
	r := k.store
	r.mu.Lock()
	if r.known[k.secret] == k {
		delete(r.known, k.secret)
	}
	delete(r.taken, k)
	if k.timer != nil {
		k.timer.Stop()
		k.timer = nil
		r.parked--
	}
	r.mu.Unlock()
	k.history.close()
}

// Taken is the state that a socket takes over from a parked one.
type Taken struct {
	State
	Events []*engine.Frame // from the one that the client saw last; empty if it is too late
	From   Socket          // the parked socket, if it was on this node

	seen []string // offsets of some earlier events
}

// takeOver ends a parked socket. Events that reach it later go to relay; these are few,
// because the new socket has joined the rooms. takeOver returns false if another socket was
// faster. It returns no events if the client's last event is not in the history.
func (k *Kept) takeOver(offset string, relay func(*engine.Frame)) (t Taken, parked bool) {
	r := k.store
	r.mu.Lock()
	parked = k.timer != nil && k.timer.Stop() && !r.taken[k]
	if parked {
		r.taken[k] = true
		if r.known[k.secret] == k {
			delete(r.known, k.secret)
		}
	}
	r.mu.Unlock()
	if parked {
		t.Events, t.seen = k.history.take(offset, relay)
		t.State = k.socket.State()
	}
	return t, parked
}

// Continue puts the history of a parked socket before that of this socket, which is new.
func (k *Kept) Continue(t Taken) {
	k.history.continueWith(t.Events, t.seen)
	time.AfterFunc(twins, k.history.endMerge)
}
