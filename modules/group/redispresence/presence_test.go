package redispresence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// room collects what is sent to the subscribers of all nodes.
type room struct {
	feed.Emitter
	mu       sync.Mutex
	statuses map[string][]string // by user
	messages int
}

func (r *room) CastQueued(_ context.Context, env adapter.Envelope) {
	var change struct{ Items []group.Present }
	if err := json.Unmarshal(env.Data, &change); err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages++
	for _, item := range change.Items {
		r.statuses[item.UserID] = append(r.statuses[item.UserID], item.Status)
	}
}

func (r *room) sent(user string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.statuses[user]...)
}

// observer records what one node reports to its observer.
type observer struct {
	mu   sync.Mutex
	seen []string
}

func (o *observer) Saw(s presence.Sighting) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := fmt.Sprint(s.GroupID, " ", s.UserID, " ", s.Online)
	if time.Since(s.At).Abs() > time.Minute {
		text += " at " + s.At.String()
	}
	o.seen = append(o.seen, text)
}

// all returns the reports, sorted.
func (o *observer) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(slices.Values(o.seen))
}

// TestPresenceOnTwoNodes has members with several sockets on two nodes, one of which dies.
func TestPresenceOnTwoNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	r := &room{statuses: make(map[string][]string)}
	var stores [2]*node
	var nodes [2]*presence.Tracker
	var seen [2]observer
	for i := range nodes {
		stores[i] = newNode(t, redisrole.Config{URL: s.URL()})
		nodes[i] = presence.New(group.Config{PresenceWindow: 5 * time.Millisecond, PresenceGrace: 300 * time.Millisecond}, stores[i].Store, r, slog.New(slog.DiscardHandler))
		nodes[i].Observe(&seen[i])
		if err := nodes[i].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := nodes[i].Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 5 {
		nodes[0].Subscribed("g", "ana")
		nodes[1].Subscribed("g", "bo")
	}
	lists := func(users ...string) func() bool {
		return func() bool {
			for _, n := range nodes {
				var got []string
				present, err := n.List(t.Context(), "g")
				for _, p := range present {
					got = append(got, p.UserID)
				}
				if err != nil || !cmp.Equal(got, users) {
					return false
				}
			}
			return true
		}
	}
	waittest.Until(t, "each node lists both users", lists("ana", "bo"))
	waittest.Until(t, "both users are reported once", func() bool { return len(r.sent("ana")) == 1 && len(r.sent("bo")) == 1 })
	nodes[0].Subscribed("g", "bo")
	nodes[0].Subscribed("g", "cy")
	waittest.Until(t, "cy is reported after bo was stored", func() bool { return len(r.sent("cy")) == 1 })
	redispresence.Kill(stores[1].Store)
	for range 5 {
		nodes[0].Unsubscribed("g", "ana", "")
	}
	waittest.Until(t, "ana is reported offline", func() bool { return cmp.Equal(r.sent("ana"), []string{"online", "reconnecting", "offline"}) })
	nodes[0].Unsubscribed("g", "bo", "")
	waittest.Until(t, "bo, who now has sockets only on the dead node, is reported after the sweep", func() bool {
		// The sweep may report "online", too.
		return cmp.Equal(slices.Compact(r.sent("bo")), []string{"online", "reconnecting", "offline"})
	})
	if present, err := nodes[0].List(t.Context(), "g"); err != nil || len(present) != 3 || present[0].UserID != "cy" {
		t.Errorf("listed %v, %v", present, err)
	}
	if got, want := seen[0].all(), []string{"g ana false", "g ana true", "g bo false", "g bo true", "g cy true"}; !cmp.Equal(got, want) {
		t.Errorf("the observer saw %q, want %q", got, want)
	}
	if got, want := seen[1].all(), []string{"g bo true"}; !cmp.Equal(got, want) {
		t.Errorf("the observer of the dead node saw %q, want %q", got, want)
	}
	nodes[0].Report()
	if got := seen[0].all(); len(got) != 6 || got[5] != "g cy true" {
		t.Errorf("after reporting again, the observer saw %q", got)
	}
}
