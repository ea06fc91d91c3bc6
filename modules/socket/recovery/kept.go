package recovery

import (
	"sync"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// Kept is a socket that may be recovered, and its last events. Its methods may be called
// concurrently.
type Kept struct {
	store   *Store
	socket  Socket
	secret  string
	history *history
	ended   chan struct{} // closed by end
	end     func()
	timer   *time.Timer // forgets the parked socket; under store.mu
}

// Offer returns what keeps a new socket. That of a client that comes back has the secret of the
// parked one; from is nil for others. The socket is not known before [Kept.Know].
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

// Secret is that by which the client comes back.
func (k *Kept) Secret() string { return k.secret }

// Know lets the client come back.
func (k *Kept) Know() {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.known[k.secret] = k
}

// End tells that the handlers of the socket have ended. Only then may another one take over.
func (k *Kept) End() { k.end() }

// Add notes an event and calls send, which does not block, unless the event was sent before.
func (k *Kept) Add(f *engine.Frame, send func(*engine.Frame)) { k.history.add(f, send) }

// Miss notes an event that cannot be sent, or passes it on to the socket that has taken over.
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

// Park keeps a socket whose connection has ended, until it is forgotten. It reports false if
// it is unknown, or too many are parked.
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

// Release ends the keeping of a socket.
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

// Taken is what a socket takes over from a parked one.
type Taken struct {
	State
	Events []*engine.Frame // from the one that the client saw last; none: it is too late
	From   Socket          // the parked one if it was on this node

	seen []string // offsets of some events before
}

// takeOver ends a parked socket. What reaches it later goes to relay; that is little if the
// new socket has joined the rooms. takeOver reports false if another socket was faster, and
// returns no events if the one that the client saw is no longer known.
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

// Continue puts the history of a parked socket before that of the socket, which is new.
func (k *Kept) Continue(t Taken) {
	k.history.continueWith(t.Events, t.seen)
	time.AfterFunc(twins, k.history.endMerge)
}
