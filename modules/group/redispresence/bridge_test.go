package redispresence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/presencetest"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// phase is how far a move has come.
type phase int

const (
	settled phase = iota
	joined
	both
	leaving
	moved
)

// mover is a node whose presence moves.
type mover struct {
	*redispresence.Bridge

	from, to *redisrole.Clients
	at       phase
	dead     bool

	here sync.WaitGroup // what uses it
}

func newMover(t testing.TB, from, to string) *mover {
	t.Helper()
	open := func(url string) *redisrole.Clients {
		c, err := redisrole.New(redisrole.Config{URL: url}, redisrole.NodeID(fmt.Sprint("node-", nodes.Add(1))), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	m := &mover{from: open(from), to: open(to)}
	m.Bridge = redispresence.NewBridge(m.from, slog.New(slog.NewTextHandler(t.Output(), nil)))
	redispresence.HurryBridge(m.Bridge)
	return m
}

// enter brings it to a phase.
func (m *mover) enter(ctx context.Context, p phase) error {
	forward := p > m.at
	var err error
	switch p {
	case settled, joined:
		err = m.Lead(ctx, m.from, nil)
	case both:
		if err = m.Lead(ctx, m.from, m.to); err == nil && forward {
			err = m.Filled(ctx)
		}
	case leaving:
		if err = m.Lead(ctx, m.from, m.to); err == nil {
			err = m.Overtake(ctx)
		}
		if err == nil {
			err = m.Lead(ctx, m.to, m.from)
		}
	case moved:
		err = m.Lead(ctx, m.to, nil)
	}
	if err == nil {
		m.at = p
	}
	return err
}

func (m *mover) mustEnter(t testing.TB, p phase) {
	t.Helper()
	eventually(t, fmt.Sprint("phase ", p), func() bool {
		err := m.enter(t.Context(), p)
		if err != nil && !errors.Is(err, redispresence.ErrNotYet) {
			t.Fatalf("phase %d: %v", p, err)
		}
		return err == nil
	})
}

// TestBridge runs the suite on bridges that have two servers.
func TestBridge(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	var prefix atomic.Int64
	presencetest.Run(t, func(t *testing.T) []presence.Store {
		t.Helper()
		name := fmt.Sprint("suite-", prefix.Add(1))
		stores := make([]presence.Store, 3)
		heard := &heardOf{last: make(map[string]group.PresenceChange)}
		for i := range stores {
			m := newMover(t, one.URL(), two.URL())
			m.from, m.to = prefixed(t, one.URL(), name), prefixed(t, two.URL(), name)
			stores[i] = once{m.Bridge, heard}
			m.mustEnter(t, leaving)
		}
		return stores
	})
}

// once tells what is told of a user but once: while two servers are written,
// both may say it.
type once struct {
	presence.Store
	heard *heardOf
}

// heardOf is what was told last, by group and user.
type heardOf struct {
	mu   sync.Mutex
	last map[string]group.PresenceChange
}

func (h *heardOf) isNew(groupID string, c group.PresenceChange) bool {
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

func prefixed(t testing.TB, url, prefix string) *redisrole.Clients {
	t.Helper()
	c, err := redisrole.New(redisrole.Config{URL: url, Prefix: prefix}, redisrole.NodeID(fmt.Sprint("node-", nodes.Add(1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// crowd is users on nodes, what subscribers were told of them, and readers.
// Who stays is online on a node all the time; who hops changes nodes.
type crowd struct {
	t      *testing.T
	nodes  []*mover
	ctx    context.Context
	stop   context.CancelFunc
	all    sync.WaitGroup
	reads  atomic.Int64
	unwell atomic.Bool // readings may fail

	mu   sync.Mutex
	last map[string]group.PresenceChange // by user
	bad  map[string]bool                 // who may be shown gone
}

const crowdGroup = "g"

func startCrowd(t *testing.T, from, to string, nodes, stay, hop int) *crowd {
	t.Helper()
	c := &crowd{t: t, last: make(map[string]group.PresenceChange), bad: make(map[string]bool)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	for i := range nodes {
		m := newMover(t, from, to)
		if err := m.Start(t.Context(), time.Second, func(_ string, changes []group.PresenceChange) { c.told(changes...) }); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, m)
		for k := range stay {
			c.come(m, fmt.Sprintf("stay-%d-%d", i, k))
		}
	}
	for i, m := range c.nodes {
		c.all.Go(func() { c.read(m) })
		if i < 2 {
			c.all.Go(func() { c.hop(i, hop) })
		}
	}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) end() {
	c.stop()
	c.all.Wait()
	for _, m := range c.nodes {
		if !m.dead {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			if err := m.Stop(ctx); err != nil {
				c.t.Errorf("stop: %v", err)
			}
			cancel()
		}
	}
}

// told keeps what subscribers were told last, and complains of who is here.
func (c *crowd) told(changes ...group.PresenceChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range changes {
		if ch.Status == "" {
			continue
		}
		if stays(ch.UserID) && ch.Status != group.StatusOnline && !c.bad[ch.UserID] {
			c.t.Errorf("%s was told to be %s (%s)", ch.UserID, ch.Status, ch.Reason)
		}
		if !ch.At.Before(c.last[ch.UserID].At) {
			c.last[ch.UserID] = ch
		}
	}
}

func stays(user string) bool { return user[0] == 's' }

func (c *crowd) come(m *mover, user string) {
	c.apply(m, presence.Attendance{UserID: user, Here: true})
}

func (c *crowd) leave(m *mover, user string) {
	c.apply(m, presence.Attendance{UserID: user, Reason: group.ReasonDropped})
}

// apply is one user's change, again until it is stored.
func (c *crowd) apply(m *mover, a presence.Attendance) {
	a.GroupID = crowdGroup
	for c.ctx.Err() == nil && !c.killed(m) {
		told, err := m.Apply(context.WithoutCancel(c.ctx), []presence.Attendance{a}) // what it answers must be told
		if err == nil {
			c.told(told...)
			return
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *crowd) killed(m *mover) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.dead
}

// readAgain is for how long readings of who is there may fail, one after the
// other, before that is more than a machine that stands still.
const readAgain = 5 * time.Second

// read asks a node who is there, all the time.
func (c *crowd) read(m *mover) {
	answered := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !c.killed(m) {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		unwell := c.unwell.Load()
		present, err := m.List(c.ctx, crowdGroup)
		if err != nil {
			if unwell || c.unwell.Load() {
				answered = time.Now()
			}
			if failing := time.Since(answered); failing > readAgain && c.ctx.Err() == nil && !c.killed(m) {
				c.t.Errorf("list, for %s: %v", failing.Round(time.Millisecond), err)
			}
			continue
		}
		answered = time.Now()
		online := make(map[string]bool)
		for _, p := range present {
			online[p.UserID] = p.Status == group.StatusOnline
		}
		c.mu.Lock()
		for i, n := range c.nodes {
			for user := range c.staying(i) {
				if !n.dead && !online[user] && !c.bad[user] {
					c.t.Errorf("node %d does not list %s as online", slices.Index(c.nodes, m), user)
				}
			}
		}
		c.mu.Unlock()
		c.reads.Add(1)
	}
}

// staying yields the users who stay on a node.
func (c *crowd) staying(node int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := 0; ; k++ {
			user := fmt.Sprintf("stay-%d-%d", node, k)
			if _, is := c.last[user]; !is || !yield(user) {
				return
			}
		}
	}
}

// hop moves users of a node to others and back.
func (c *crowd) hop(first, users int) {
	if users == 0 {
		return
	}
	hosts := min(2, len(c.nodes)) // the third one may die before it tells
	at := make([]int, users)
	for i := range at {
		at[i] = first
		c.come(c.nodes[first], fmt.Sprintf("hop-%d-%d", first, i))
	}
	for c.ctx.Err() == nil {
		i := rand.IntN(users)
		next := rand.IntN(hosts)
		user := fmt.Sprintf("hop-%d-%d", first, i)
		if next == at[i] {
			c.leave(c.nodes[next], user)
			c.come(c.nodes[next], user)
			continue
		}
		before := at[i]
		at[i] = next
		if rand.IntN(2) == 0 {
			c.come(c.nodes[next], user)
			c.leave(c.nodes[before], user)
		} else {
			c.leave(c.nodes[before], user)
			c.come(c.nodes[next], user)
		}
		if i%2 == 0 {
			state := json.RawMessage(fmt.Sprintf(`{"n":%d}`, next))
			_, _ = c.nodes[next].SetState(c.ctx, crowdGroup, user, state)
		}
	}
}

// step brings all nodes to a phase, one after another.
func (c *crowd) step(p phase) {
	c.t.Helper()
	for _, i := range rand.Perm(len(c.nodes)) {
		if !c.nodes[i].dead {
			c.nodes[i].mustEnter(c.t, p)
		}
		c.goesOn(3)
	}
}

// goesOn lets readers read.
func (c *crowd) goesOn(n int64) {
	c.t.Helper()
	before := c.reads.Load()
	eventually(c.t, "it is read", func() bool { return c.reads.Load() >= before+n })
}

// agree ends the load and checks that subscribers were told last what is true.
func (c *crowd) agree() {
	c.t.Helper()
	c.stop()
	c.all.Wait()
	differ := func() (wrong []string) {
		for i, m := range c.nodes {
			if m.dead {
				continue
			}
			present, err := m.List(c.t.Context(), crowdGroup)
			if err != nil {
				return []string{err.Error()}
			}
			c.mu.Lock()
			for _, p := range present {
				if last := c.last[p.UserID]; last.Status != p.Status {
					wrong = append(wrong, fmt.Sprintf("node %d lists %s as %s, last told was %s (%s)", i, p.UserID, p.Status, last.Status, last.At))
				}
			}
			c.mu.Unlock()
		}
		return wrong
	}
	defer func() {
		if wrong := differ(); len(wrong) > 0 {
			c.t.Error(strings.Join(wrong, "\n"))
		}
	}()
	eventually(c.t, "what was told last is what is listed", func() bool { return len(differ()) == 0 })
}

// TestBridgeMovesUnderLoad goes there, half way and back from each phase, and
// all the way back.
func TestBridgeMovesUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 3, 20, 5)
	for _, p := range []phase{joined, both, joined, settled, joined, both, leaving, both, joined, both, leaving, moved} {
		c.step(p)
	}
	for _, m := range c.nodes { // and back, by another move
		m.from, m.to, m.at = m.to, m.from, settled
	}
	for _, p := range []phase{settled, joined, both, leaving, moved} {
		c.step(p)
	}
	c.agree()
}

// kill kills a node; its users go.
func (c *crowd) kill(node int) {
	c.mu.Lock()
	for user := range c.staying(node) {
		c.bad[user] = true
	}
	c.nodes[node].dead = true
	c.mu.Unlock()
	redispresence.KillBridge(c.nodes[node].Bridge)
}

// gone waits until subscribers were told that a node's users are offline.
func (c *crowd) gone(node int) {
	c.t.Helper()
	eventually(c.t, "a dead node's users are told to be offline", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for user := range c.staying(node) {
			if c.last[user].Status != group.StatusOffline {
				return false
			}
		}
		return true
	})
}

// TestBridgeNodesDie kills a node in each phase of a move, on the way there or
// back: its users go offline, nobody else does.
func TestBridgeNodesDie(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name         string
		before, then []phase
	}{
		{"before it begins", nil, []phase{joined, both, leaving, moved}},
		{"joined", []phase{joined}, []phase{both, leaving, moved}},
		{"both", []phase{joined, both}, []phase{leaving, moved}},
		{"both, back", []phase{joined, both}, []phase{joined, settled}},
		{"leaving", []phase{joined, both, leaving}, []phase{moved}},
		{"leaving, back", []phase{joined, both, leaving}, []phase{both, joined, settled}},
		{"moved", []phase{joined, both, leaving, moved}, nil},
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

// TestBridgeServersDie shows that a second server that dies costs nothing but
// the way there, and that there is a way back from one that is asked.
func TestBridgeServersDie(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 2, 10, 3)
	restart := func() {
		two.Restart()
		for _, m := range c.nodes {
			eventually(t, "the server is known to be back", func() bool { return m.to.Health(t.Context(), redisrole.Group) == nil })
		}
	}
	c.step(joined)
	c.step(both)
	two.Kill()
	began := time.Now()
	c.goesOn(10)
	for _, m := range c.nodes {
		if err := m.enter(t.Context(), leaving); err == nil || errors.Is(err, redispresence.ErrNotYet) {
			t.Errorf("it goes on to a server that is dead: %v", err)
		}
	}
	c.step(joined)
	c.step(settled)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
	restart()
	c.step(joined)
	c.step(both)
	c.step(leaving)
	c.unwell.Store(true)
	two.Kill()
	eventually(t, "the dead server is not believed", func() bool {
		_, err := c.nodes[0].List(t.Context(), crowdGroup)
		return err != nil
	})
	c.step(both) // back
	c.unwell.Store(false)
	c.goesOn(10)
	restart()
	c.step(joined)
	c.step(both)
	c.step(leaving)
	one.Kill()
	c.goesOn(10)
	c.step(moved)
	c.agree()
}

// TestBridgeTellsAtLeastOnce has nodes ask different servers: whoever's grace is over
// is told, whichever node ends it on which server.
func TestBridgeTellsAtLeastOnce(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	const users = 100
	var mu sync.Mutex
	offline := make(map[string]bool)
	var nodes [2]*mover
	for i := range nodes {
		nodes[i] = newMover(t, one.URL(), two.URL())
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
	for _, p := range []phase{joined, both} {
		for _, m := range nodes {
			m.mustEnter(t, p)
		}
	}
	nodes[1].mustEnter(t, leaving)
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
	eventually(t, "all are told to be offline", func() bool {
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

// TestBridgeTakesAlong moves live states, who is waited for, and who was there
// lately.
func TestBridgeTakesAlong(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 2, 1, 0)
	a, b := c.nodes[0], c.nodes[1]
	for _, m := range c.nodes { // bo's state is set where they are no more
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
	c.come(a, "cy") // is gone for good
	c.apply(a, presence.Attendance{UserID: "cy", Reason: group.ReasonLeft, Final: true})
	step := func(p phase) {
		for _, m := range c.nodes {
			m.mustEnter(t, p)
		}
	}
	step(joined)
	c.come(a, "dee")
	must(a.SetState(t.Context(), crowdGroup, "dee", json.RawMessage(`{"dee":1}`)))
	c.leave(a, "dee") // is waited for
	step(both)
	must(b.SetState(t.Context(), crowdGroup, "stay-1-0", json.RawMessage(`{"stay":1}`)))
	step(leaving)
	step(moved)
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
	eventually(t, "dee's grace ends", func() bool { return listed("dee") == "offline " })
	eventually(t, "and is told", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last["dee"].Status == group.StatusOffline
	})
}

// TestBridgeSleeper misses the end of a move: it knows then that it does not
// know who is there, and tells nothing of those who went on.
func TestBridgeSleeper(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	c := startCrowd(t, one.URL(), two.URL(), 3, 5, 3)
	c.step(joined)
	c.step(both)
	c.unwell.Store(true)
	for _, p := range []phase{leaving, moved} {
		for _, m := range c.nodes[:2] {
			m.mustEnter(t, p)
		}
	}
	sleeper := c.nodes[2]
	eventually(t, "the old server is not believed", func() bool {
		_, err := sleeper.List(t.Context(), crowdGroup)
		return err != nil
	})
	passing(2 * redispresence.Lease)
	if present, err := sleeper.List(t.Context(), crowdGroup); err == nil {
		t.Errorf("the old server is believed: %+v", present)
	}
	sleeper.mustEnter(t, moved)
	c.unwell.Store(false)
	c.goesOn(10)
	c.agree()
}

// TestBridgeSameServer is not led to where it is.
func TestBridgeSameServer(t *testing.T) {
	t.Parallel()
	one := redistest.Start(t)
	c := startCrowd(t, one.URL(), one.URL(), 2, 5, 3)
	c.step(joined)
	for _, m := range c.nodes {
		eventually(t, "it is noticed", func() bool {
			err := m.enter(t.Context(), both)
			if err == nil {
				t.Fatal("it goes on")
			}
			return !errors.Is(err, redispresence.ErrNotYet)
		})
	}
	c.step(joined)
	c.step(settled)
	c.agree()
}
