package recovery

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// comeback is the request in the CONNECT packet of a client that comes back.
type comeback struct {
	Secret    string `json:"pid"`
	Offset    string `json:"offset"`
	Namespace string `json:"namespace"`
}

// State is the state of a parked socket.
type State struct {
	ID    string                     `json:"id"`
	User  string                     `json:"user"`
	Rooms []string                   `json:"rooms"`
	Data  map[string]json.RawMessage `json:"data,omitempty"` // by type; only for another node
}

// Returning is a client that comes back.
type Returning struct {
	comeback
	State

	store *Store
	local *Kept  // the parked socket, if it is on this node
	node  string // otherwise, its node
}

// Local reports whether the parked socket is on this node.
func (c *Returning) Local() bool { return c.local != nil }

// Search looks for a client's parked socket, on this node first. payload is the payload of
// the CONNECT packet. Search returns nil if there is none.
func (r *Store) Search(ctx context.Context, namespace string, payload json.RawMessage) *Returning {
	if r == nil {
		return nil
	}
	var c comeback
	if json.Unmarshal(payload, &c) != nil || len(c.Secret) != secretLength || c.Offset == "" {
		return nil
	}
	c.Namespace = namespace
	ctx, cancel := context.WithTimeout(ctx, maxSearching)
	defer cancel()
	if k := r.find(ctx, c); k != nil {
		return &Returning{comeback: c, State: k.socket.State(), store: r, local: k}
	}
	return r.searchOthers(ctx, c)
}

// Take ends the parked socket, and returns its state for a new socket of the same user that
// has joined the same rooms. Events that still reach the parked socket go to relay, which
// must not block.
func (c *Returning) Take(ctx context.Context, user string, relay func(*engine.Frame)) Taken {
	if c.local == nil {
		name := engine.NewID()
		c.store.setHeir(name, relay)
		time.AfterFunc(twins, func() { c.store.setHeir(name, nil) })
		return c.store.takeFrom(ctx, user, c, name)
	}
	t, parked := c.local.takeOver(c.Offset, relay)
	if parked {
		t.From = c.local.socket
	}
	return t
}

// setHeir registers the function for events that are relayed to a socket, or removes it if
// relay is nil.
func (r *Store) setHeir(name string, relay func(*engine.Frame)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if relay == nil {
		delete(r.heirs, name)
		return
	}
	r.heirs[name] = relay
}
