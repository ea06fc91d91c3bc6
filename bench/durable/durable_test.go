package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/bench/measure"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// BenchmarkPost posts messages from 64 callers at once. Each posts to its own group, which has no
// subscribers.
func BenchmarkPost(b *testing.B) {
	onBoth(b, func(b *testing.B, open func() string) {
		n, db, groups := pair(b, open, nil)
		data := mustJSON(b, map[string]any{"type": "message", "data": text.Data})
		measure.Compare(b, writers,
			measure.Side{Name: "moim", Settle: n.settle, Do: func(ctx context.Context, w int) error {
				_, err := n.Post(ctx, owner(w), n.groups[w], text)
				return err
			}},
			measure.Side{Name: "bare", Do: func(ctx context.Context, w int) error {
				user := owner(w).UserID
				e := group.Event{GroupID: groups[w], Type: group.MessagePosted, Actor: &user, Data: data}
				return db.change(ctx, e, 1, 0, func(tx bareTx, version, messages, _ int64) error {
					return tx.exec(moveMark, e.GroupID, user, version, messages)
				})
			}})
	})
}

// BenchmarkJoin lets 64 new users join at once, each in a different group.
func BenchmarkJoin(b *testing.B) {
	onBoth(b, func(b *testing.B, open func() string) {
		n, db, groups := pair(b, open, nil)
		var count atomic.Int64
		someone := func() auth.Identity {
			id := fmt.Sprintf("user-%d", count.Add(1))
			return auth.Identity{UserID: id, Name: id}
		}
		measure.Compare(b, writers,
			measure.Side{Name: "moim", Settle: n.settle, Do: func(ctx context.Context, w int) error {
				_, err := n.Join(ctx, someone(), n.groups[w])
				return err
			}},
			measure.Side{Name: "bare", Do: func(ctx context.Context, w int) error {
				user := someone()
				m := group.Member{UserID: user.UserID, Name: user.Name, Role: group.MemberRole, Attributes: json.RawMessage(`{}`)}
				e := group.Event{GroupID: groups[w], Type: group.MemberJoined, Actor: &user.UserID, Data: mustJSON(b, m)}
				return db.change(ctx, e, 0, 1, func(tx bareTx, version, messages, now int64) error {
					return tx.exec(insertMember, e.GroupID, m.UserID, m.Name, now, version, messages)
				})
			}})
	})
}

const (
	history = 200 // messages in each group's log
	missed  = 100 // how many of them a client missed when it reconnects
)

// BenchmarkCatchUp reads missed events from 64 callers at once, each in its own group.
func BenchmarkCatchUp(b *testing.B) {
	onBoth(b, func(b *testing.B, open func() string) {
		n, db, groups := pair(b, open, talk)
		const since = history + 1 - missed // the first event is the creation of the group
		measure.Compare(b, writers,
			measure.Side{Name: "moim", Do: func(ctx context.Context, w int) error {
				events, _, err := n.Events(ctx, owner(w), n.groups[w], since, 1000)
				return all(events, err)
			}},
			measure.Side{Name: "bare", Do: func(ctx context.Context, w int) error {
				events, err := db.events(ctx, groups[w], since, 1000)
				return all(events, err)
			}})
	})
}

// BenchmarkReturn lets 64 sockets reconnect to one group at once, as after the restart of a node.
// Each subscribes and receives what it missed.
func BenchmarkReturn(b *testing.B) {
	onBoth(b, func(b *testing.B, open func() string) {
		n, db, groups := pair(b, open, talk)
		since := int64(history + 1 - missed)
		measure.Compare(b, writers,
			measure.Side{Name: "moim", Do: func(ctx context.Context, w int) error {
				s := newClient(fmt.Sprint(w), owner(0).UserID)
				defer n.feed.Drop(s, "left")
				_, err := n.feed.Subscribe(ctx, s, feed.SubscribeRequest{
					GroupID: n.groups[0], Since: &since, Admit: group.Admit(owner(0)),
				})
				if err != nil {
					return err
				}
				n.feed.Release(s, n.groups[0])
				return s.caughtUp(ctx)
			}},
			measure.Side{Name: "bare", Do: func(ctx context.Context, _ int) error {
				events, err := db.events(ctx, groups[0], since, 1000)
				return all(events, err)
			}})
	})
}

// pair starts a node on one database, and opens a second database with the same content as bare.
// groups are the groups of the bare one. If the benchmark reads, prepare fills both first. It is
// nil if the benchmark writes.
func pair(b *testing.B, open func() string, prepare func(*testing.B, *node)) (n *node, db *bare, groups []string) {
	b.Helper()
	at := open()
	model := startNode(b, at)
	n = startNode(b, open())
	for _, n := range []*node{model, n} {
		if prepare != nil {
			prepare(b, n)
		}
		if err := n.settle(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	model.stop()
	return n, openBare(b, at, n.db.Dialect(), prepare != nil), model.groups
}

// talk writes messages to the logs of all groups.
func talk(b *testing.B, n *node) {
	b.Helper()
	var talking sync.WaitGroup
	for w, groupID := range n.groups {
		talking.Go(func() {
			for range history {
				if _, err := n.Post(b.Context(), owner(w), groupID, text); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	talking.Wait()
}

func all(events []group.Event, err error) error {
	if err == nil && len(events) != missed {
		err = fmt.Errorf("%d events, want %d", len(events), missed)
	}
	return err
}

func mustJSON(b *testing.B, v any) json.RawMessage {
	b.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// client is a socket that accepts every message and counts it.
type client struct {
	id, userID string
	received   atomic.Int64
	all        chan struct{} // closed when it has received all missed messages
}

var _ feed.Subscriber = (*client)(nil)

func newClient(id, userID string) *client {
	return &client{id: id, userID: userID, all: make(chan struct{})}
}

// caughtUp waits until the client has received all missed messages.
func (c *client) caughtUp(ctx context.Context) error {
	select {
	case <-c.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *client) ID() string           { return c.id }
func (c *client) UserID() string       { return c.userID }
func (c *client) Codec() adapter.Codec { return codec{} }
func (c *client) Busy() bool           { return false }
func (c *client) WhenFree(fn func())   { fn() }
func (c *client) Join(string)          {}
func (c *client) Leave(string)         {}

func (*client) Writable() bool { return true }

func (c *client) SendAll(frames []*engine.Frame) {
	for _, f := range frames {
		c.Send(f)
	}
}

func (c *client) Send(*engine.Frame) {
	if c.received.Add(1) == missed {
		close(c.all)
	}
}

// codec encodes for plain WebSockets.
type codec struct{}

func (codec) Event(env adapter.Envelope) *engine.Frame { return engine.Plain.Frame(env.Data) }
