package redismove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/presencetest"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestGroupSuite runs the suite on nodes that use two servers.
func TestGroupSuite(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	var prefix atomic.Int64
	presencetest.Run(t, func(t *testing.T) []presence.Store {
		t.Helper()
		name := fmt.Sprint("suite-", prefix.Add(1))
		stores := make([]presence.Store, 3)
		heard := &receivedPresence{last: make(map[string]group.PresenceChange)}
		for i := range stores {
			m := newPresenceNode(t, openGroup(t, one.URL(), name), openGroup(t, two.URL(), name))
			stores[i] = once{m, heard}
			m.mustEnter(t, Leaving)
		}
		return stores
	})
}

// once drops a transition that both servers reported.
type once struct {
	presence.Store
	heard *receivedPresence
}

func (o once) SetNode(node func() string) {
	if named, is := o.Store.(interface{ SetNode(node func() string) }); is {
		named.SetNode(node)
	}
}

// receivedPresence is the last received presence, by group and user.
type receivedPresence struct {
	mu   sync.Mutex
	last map[string]group.PresenceChange
}

func (h *receivedPresence) isNew(groupID string, c group.PresenceChange) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := groupID + " " + c.UserID
	was := h.last[key]
	if c.At.Before(was.At) {
		return false
	}
	h.last[key] = c
	return was.Status != c.Status
}

func (o once) Start(ctx context.Context, grace time.Duration, tell func(string, []group.PresenceChange)) error {
	return o.Store.Start(ctx, grace, func(groupID string, changes []group.PresenceChange) {
		tell(groupID, slices.DeleteFunc(changes, func(c group.PresenceChange) bool { return !o.heard.isNew(groupID, c) }))
	})
}

func (o once) Apply(ctx context.Context, changes []presence.Attendance) ([]group.PresenceChange, error) {
	told, err := o.Store.Apply(ctx, changes)
	for i, c := range told {
		if c.Status != "" {
			o.heard.isNew(changes[i].GroupID, c)
		}
	}
	return told, err
}

// TestGroupMovesUnderLoad moves the role forward and back from each phase, then to the end, and
// back with a second move.
func TestGroupMovesUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 3, 20, 5)
	for _, p := range []Phase{Joined, Both, Joined, Settled, Joined, Both, Leaving, Both, Joined, Both, Leaving, Moved} {
		c.step(p)
	}
	for _, m := range c.nodes { // back with a second move
		m.from, m.to = m.to, m.from
	}
	for _, p := range []Phase{Settled, Joined, Both, Leaving, Moved} {
		c.step(p)
	}
	c.agree()
}

// TestGroupNodesDie kills a node in each phase of a move, forward or back. Its users must become
// offline, and all others must stay online.
func TestGroupNodesDie(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name         string
		before, then []Phase
	}{
		{"before it begins", nil, []Phase{Joined, Both, Leaving, Moved}},
		{"joined", []Phase{Joined}, []Phase{Both, Leaving, Moved}},
		{"both", []Phase{Joined, Both}, []Phase{Leaving, Moved}},
		{"both, back", []Phase{Joined, Both}, []Phase{Joined, Settled}},
		{"leaving", []Phase{Joined, Both, Leaving}, []Phase{Moved}},
		{"leaving, back", []Phase{Joined, Both, Leaving}, []Phase{Both, Joined, Settled}},
		{"moved", []Phase{Joined, Both, Leaving, Moved}, nil},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			one, two := redistest.Start(t), redistest.Start(t)
			c := startCrowd(t, one.URL(), two.URL(), 3, 10, 3)
			for _, p := range way.before {
				c.step(p)
			}
			c.kill(2)
			for _, p := range way.then {
				c.step(p)
			}
			c.gone(2)
			c.agree()
		})
	}
}

// TestGroupServersDie checks that only the move stops if the second server dies, and that the
// move can be reverted if the primary dies.
func TestGroupServersDie(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 2, 10, 3)
	restart := func() {
		two.Restart()
		for _, m := range c.nodes {
			waittest.Until(t, "the server is known to be back", func() bool { return m.to.Health(t.Context(), redisrole.Group) == nil })
		}
	}
	c.step(Joined)
	c.step(Both)
	two.Kill()
	began := time.Now()
	c.goesOn(10)
	for _, m := range c.nodes {
		if err := m.enter(t.Context(), Leaving); err == nil || errors.Is(err, ErrNotYet) {
			t.Errorf("the move continues to a server that is down: %v", err)
		}
	}
	c.step(Joined)
	c.step(Settled)
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
	restart()
	c.step(Joined)
	c.step(Both)
	c.step(Leaving)
	c.unwell.Store(true)
	two.Kill()
	waittest.Until(t, "the lists of the dead server are not used", func() bool {
		_, err := c.nodes[0].List(t.Context(), crowdGroup)
		return err != nil
	})
	c.step(Both) // revert
	c.unwell.Store(false)
	c.goesOn(10)
	restart()
	c.step(Joined)
	c.step(Both)
	c.step(Leaving)
	one.Kill()
	c.goesOn(10)
	c.step(Moved)
	c.agree()
}

// TestGroupTellsAtLeastOnce runs nodes with different primaries. The end of each grace must be
// reported, whichever node ends it and on whichever server.
func TestGroupTellsAtLeastOnce(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	const users = 100
	var mu sync.Mutex
	offline := make(map[string]bool)
	var nodes [2]*presenceNode
	for i := range nodes {
		nodes[i] = newPresenceNode(t, openGroup(t, one.URL(), ""), openGroup(t, two.URL(), ""))
		err := nodes[i].Start(t.Context(), 200*time.Millisecond, func(groupID string, changes []group.PresenceChange) {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range changes {
				offline[groupID+c.UserID] = c.Status == group.StatusOffline
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Stop(context.Background()) })
	}
	for _, p := range []Phase{Joined, Both} {
		for _, m := range nodes {
			m.mustEnter(t, p)
		}
	}
	nodes[1].mustEnter(t, Leaving)
	for i, m := range nodes {
		come := make([]presence.Attendance, users)
		for k := range come {
			come[k] = presence.Attendance{GroupID: fmt.Sprint("g", k), UserID: fmt.Sprint("u", i), Here: true}
		}
		if _, err := m.Apply(t.Context(), come); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range nodes {
		m.here.Go(func() {
			gone := make([]presence.Attendance, users)
			for k := range gone {
				gone[k] = presence.Attendance{GroupID: fmt.Sprint("g", k), UserID: fmt.Sprint("u", slices.Index(nodes[:], m)), Reason: group.ReasonDropped}
			}
			if _, err := m.Apply(t.Context(), gone); err != nil {
				t.Error(err)
			}
		})
	}
	for _, m := range nodes {
		m.here.Wait()
	}
	waittest.Until(t, "all are told to be offline", func() bool {
		mu.Lock()
		defer mu.Unlock()
		told := 0
		for _, is := range offline {
			if is {
				told++
			}
		}
		return told == 2*users
	})
}

// TestGroupTakesAlong checks that a move keeps live states, graces and last-seen times.
func TestGroupTakesAlong(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowdGrace(t, one.URL(), two.URL(), 10*time.Second, 2, 1, 0) // long enough that dee's grace ends after the move
	a, b := c.nodes[0], c.nodes[1]
	for _, m := range c.nodes { // bo's state is set on a node that bo has left
		c.come(m, "bo")
	}
	must := func(_ time.Time, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.SetState(t.Context(), crowdGroup, "bo", json.RawMessage(`{"bo":1}`)))
	c.leave(a, "bo")
	c.come(a, "cy") // will be offline at the end
	c.apply(a, presence.Attendance{UserID: "cy", Reason: group.ReasonLeft, Final: true})
	step := func(p Phase) {
		for _, m := range c.nodes {
			m.mustEnter(t, p)
		}
	}
	step(Joined)
	c.come(a, "dee")
	must(a.SetState(t.Context(), crowdGroup, "dee", json.RawMessage(`{"dee":1}`)))
	c.leave(a, "dee") // starts a grace
	step(Both)
	must(b.SetState(t.Context(), crowdGroup, "stay-1-0", json.RawMessage(`{"stay":1}`)))
	step(Leaving)
	step(Moved)
	listed := func(user string) string {
		present, err := b.List(t.Context(), crowdGroup)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range present {
			if p.UserID == user {
				return p.Status + " " + string(p.State)
			}
		}
		return ""
	}
	for user, want := range map[string]string{
		"bo": `online {"bo":1}`, "cy": "offline ", "dee": `reconnecting {"dee":1}`, "stay-1-0": `online {"stay":1}`,
	} {
		if got := listed(user); got != want {
			t.Errorf("%s is listed as %q, not %q", user, got, want)
		}
	}
	waittest.Until(t, "dee's grace ends", func() bool { return listed("dee") == "offline " })
	waittest.Until(t, "and is told", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last["dee"].Status == group.StatusOffline
	})
}

// TestGroupSleeper makes a node miss the end of a move. It must report that presence is unknown,
// and must report nothing about the users of other nodes.
func TestGroupSleeper(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 3, 5, 3)
	c.step(Joined)
	c.step(Both)
	c.unwell.Store(true)
	for _, p := range []Phase{Leaving, Moved} {
		for _, m := range c.nodes[:2] {
			m.mustEnter(t, p)
		}
	}
	sleeper := c.nodes[2]
	waittest.Until(t, "the lists of the old server are not used", func() bool {
		_, err := sleeper.List(t.Context(), crowdGroup)
		return err != nil
	})
	<-time.After(2 * groupLease)
	if present, err := sleeper.List(t.Context(), crowdGroup); err == nil {
		t.Errorf("the old server is believed: %+v", present)
	}
	sleeper.mustEnter(t, Moved)
	c.unwell.Store(false)
	c.goesOn(10)
	c.agree()
}

// TestGroupComesLate makes a node miss all phases but the last. It must keep a live state that
// only the old server has.
func TestGroupComesLate(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 2, 1, 0)
	c.unwell.Store(true)
	for _, m := range c.nodes {
		c.come(m, "bo")
	}
	if _, err := c.nodes[0].SetState(t.Context(), crowdGroup, "bo", json.RawMessage(`{"bo":1}`)); err != nil {
		t.Fatal(err)
	}
	c.leave(c.nodes[0], "bo")
	c.stop()
	c.all.Wait()
	late := c.nodes[1]
	late.mustEnter(t, Moved)
	present, err := late.List(t.Context(), crowdGroup)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range present {
		if p.UserID == "bo" && string(p.State) == `{"bo":1}` {
			return
		}
	}
	t.Errorf("bo is listed as %+v", present)
}

// TestGroupSameServer checks that a move to the current server under another name is refused.
func TestGroupSameServer(t *testing.T) {
	t.Parallel()
	one := redistest.Start(t)
	c := startCrowd(t, one.URL(), one.URL(), 2, 5, 3)
	c.step(Joined)
	for _, m := range c.nodes {
		waittest.Until(t, "it is noticed", func() bool {
			err := m.enter(t.Context(), Both)
			if err == nil {
				t.Fatal("the move continues")
			}
			return !errors.Is(err, ErrNotYet)
		})
	}
	c.step(Joined)
	c.step(Settled)
	c.agree()
}
