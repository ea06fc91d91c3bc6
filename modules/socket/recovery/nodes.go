package recovery

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Events between nodes about parked sockets.
const (
	eventSearch = "socket:search" // to all nodes: which of them has the socket?
	eventTake   = "socket:take"   // to the node that has the socket
	eventRelay  = "socket:relay"  // to the node that has taken over
)

// recoverRequest is a question about a parked socket.
type recoverRequest struct {
	comeback
	User     string `json:"user,omitempty"` // the user of the new socket
	Heir     string `json:"heir,omitempty"` // the name of the new socket
	From     string `json:"from"`
	Question string `json:"question"`
}

// found is a node's answer.
type found struct {
	Node string `json:"node"`
	State
	Events []savedEvent `json:"events,omitempty"` // answer to eventTake
	Seen   []string     `json:"seen,omitempty"`   // answer to eventTake
}

// savedEvent is an event of a [history].
type savedEvent struct {
	Heir   string `json:"heir,omitempty"` // for eventRelay
	Offset string `json:"offset"`
	Frame  []byte `json:"frame"`
}

func saveEvent(f *engine.Frame) savedEvent { return savedEvent{Offset: f.Offset(), Frame: f.Wire()} }

// serve answers requests of other nodes.
func (r *Store) serve() {
	answer := func(event string, reply func(ctx context.Context, q recoverRequest, k *Kept) found) {
		r.nodes.Intercept(event, func(text string) {
			var q recoverRequest
			if json.Unmarshal([]byte(text), &q) != nil {
				return // not from a node
			}
			r.nodes.Run(func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, MaxReturning)
				defer cancel()
				var entries []any
				if k := r.find(ctx, q.comeback); k != nil {
					entries = append(entries, reply(ctx, q, k))
				}
				r.nodes.Answer(ctx, q.From, q.Question, entries)
			})
		})
	}
	answer(eventSearch, func(_ context.Context, _ recoverRequest, k *Kept) found {
		return found{Node: r.nodes.Node(), State: k.socket.State()}
	})
	answer(eventTake, func(ctx context.Context, q recoverRequest, k *Kept) found {
		var f found
		if q.User != k.socket.UserID() || !tasks.Pause(ctx, settle) {
			return f
		}
		t, parked := k.takeOver(q.Offset, func(f *engine.Frame) { r.relay(q.From, q.Heir, f) })
		if !parked {
			return f
		}
		time.AfterFunc(overlap, k.socket.Forget)
		for _, event := range t.Events {
			f.Events = append(f.Events, saveEvent(event))
		}
		f.State, f.Seen = t.State, t.seen
		f.Data = k.socket.Data()
		return f
	})
	r.nodes.Intercept(eventRelay, func(text string) {
		var event savedEvent
		if json.Unmarshal([]byte(text), &event) != nil {
			return // not from a node
		}
		r.mu.Lock()
		heir := r.heirs[event.Heir]
		r.mu.Unlock()
		if f := engine.ParseFrame(event.Frame, event.Offset); f != nil && heir != nil {
			heir(f)
		}
	})
}

// settle is how long a node waits before it hands over a parked socket, so that events on
// their way to it arrive in order. Later events are relayed, and may come after newer ones.
const settle = 100 * time.Millisecond

// maxRelays is the maximum number of events that wait to be relayed. Further ones are lost.
const maxRelays = 4096

// relayed is an event for a socket of another node.
type relayed struct {
	node  string
	event savedEvent
}

// relay passes on an event that has reached a socket after another node has taken it over.
// It does not block.
func (r *Store) relay(node, heir string, f *engine.Frame) {
	if IsForeign(f) {
		return
	}
	event := saveEvent(f)
	event.Heir = heir
	select {
	case r.relays <- relayed{node, event}:
	default:
	}
}

// Start relays events in order until the node stops.
func (r *Store) Start() {
	if r == nil {
		return
	}
	r.nodes.Run(func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case next := <-r.relays:
				_ = r.nodes.Tell(ctx, next.node, eventRelay, next.event) // it may be lost, as other events may
			}
		}
	})
}

// searchOthers asks all nodes for a parked socket.
func (r *Store) searchOthers(ctx context.Context, c comeback) *Returning {
	entries := r.nodes.AskFirst(ctx, func(question string) error {
		return r.nodes.Tell(ctx, "", eventSearch, recoverRequest{comeback: c, From: r.nodes.Node(), Question: question})
	})
	for _, data := range entries {
		var f found
		if json.Unmarshal(data, &f) == nil && f.ID != "" {
			return &Returning{comeback: c, State: f.State, store: r, node: f.Node}
		}
	}
	return nil
}

// takeFrom takes over a parked socket from another node, for a user's new socket. name
// identifies the new socket for relayed events.
func (r *Store) takeFrom(ctx context.Context, user string, from *Returning, name string) (t Taken) {
	entries := r.nodes.AskOne(ctx, from.node, func(question string) error {
		return r.nodes.Tell(ctx, from.node, eventTake,
			recoverRequest{comeback: from.comeback, User: user, Heir: name, From: r.nodes.Node(), Question: question})
	})
	for _, data := range entries {
		var f found
		if json.Unmarshal(data, &f) != nil {
			continue // not from a node
		}
		for _, event := range f.Events {
			if frame := engine.ParseFrame(event.Frame, event.Offset); frame != nil {
				t.Events = append(t.Events, frame)
			}
		}
		t.State, t.seen = f.State, f.Seen
	}
	return t
}
