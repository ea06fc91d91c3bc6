package redismove

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// A node counts as alive for groupLease after it renews. It renews every groupRenew. A busy
// machine may be late by more than a second. If no node has renewed for two leases, no node
// counts as dead for another lease.
const (
	groupLease = 4 * time.Second
	groupRenew = time.Second
)

// crowd is a set of users on nodes, with readers and the presence that subscribers received.
// Users called stay-… are always online on one node. Users called hop-… change nodes.
type crowd struct {
	t      *testing.T
	nodes  []*presenceNode
	ctx    context.Context
	stop   context.CancelFunc
	all    sync.WaitGroup
	reads  atomic.Int64
	unwell atomic.Bool // reads may fail

	mu   sync.Mutex
	last map[string]group.PresenceChange // by user
	bad  map[string]bool                 // users who may be shown as gone
}

const crowdGroup = "g"

func startCrowd(t *testing.T, from, to string, nodes, stay, hop int) *crowd {
	t.Helper()
	return startCrowdGrace(t, from, to, time.Second, nodes, stay, hop)
}

func startCrowdGrace(t *testing.T, from, to string, grace time.Duration, nodes, stay, hop int) *crowd {
	t.Helper()
	c := &crowd{t: t, last: make(map[string]group.PresenceChange), bad: make(map[string]bool)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	for i := range nodes {
		m := newPresenceNode(t, openGroup(t, from, ""), openGroup(t, to, ""))
		if err := m.Start(t.Context(), grace, func(_ string, changes []group.PresenceChange) { c.told(changes...) }); err != nil {
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
	c.mu.Lock()
	for i := range c.nodes { // users of a node that stops are shown as reconnecting
		for user := range c.staying(i) {
			c.bad[user] = true
		}
	}
	c.mu.Unlock()
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

// told records the last change that subscribers received of each user. It fails the test if a
// user who stays is shown as gone.
func (c *crowd) told(changes ...group.PresenceChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range changes {
		if ch.Status == "" {
			continue
		}
		if stays(ch.UserID) && ch.Status != group.StatusOnline && !c.bad[ch.UserID] {
			c.t.Errorf("subscribers received that %s is %s (%s)", ch.UserID, ch.Status, ch.Reason)
		}
		if !ch.At.Before(c.last[ch.UserID].At) {
			c.last[ch.UserID] = ch
		}
	}
}

func stays(user string) bool { return user[0] == 's' }

func (c *crowd) come(m *presenceNode, user string) {
	c.apply(m, presence.Attendance{UserID: user, Here: true})
}

func (c *crowd) leave(m *presenceNode, user string) {
	c.apply(m, presence.Attendance{UserID: user, Reason: group.ReasonDropped})
}

// apply repeats one user's change until it is stored, even after the load ended. A failed change
// may have been stored, and only the next answer shows that.
func (c *crowd) apply(m *presenceNode, a presence.Attendance) {
	a.GroupID = crowdGroup
	for end := time.Now().Add(within); !c.killed(m) && time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		told, err := m.Apply(context.WithoutCancel(c.ctx), []presence.Attendance{a})
		if err == nil {
			c.told(told...)
			return
		}
	}
}

func (c *crowd) killed(m *presenceNode) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.dead
}

// readAgain is how long reads of a node's lists may fail in a row, on a machine that may be
// suspended for a while.
const readAgain = 20 * time.Second

// read reads the group's list from a node again and again.
func (c *crowd) read(m *presenceNode) {
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

// hop moves users of a node to other nodes and back.
func (c *crowd) hop(first, users int) {
	if users == 0 {
		return
	}
	hosts := min(2, len(c.nodes)) // the third node may be killed before it reports its users
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

// step moves all nodes to a phase, one after the other.
func (c *crowd) step(p Phase) {
	c.t.Helper()
	for _, i := range rand.Perm(len(c.nodes)) {
		if !c.nodes[i].dead {
			c.nodes[i].mustEnter(c.t, p)
		}
		c.goesOn(3)
	}
}

// goesOn waits until the readers have read n more times.
func (c *crowd) goesOn(n int64) {
	c.t.Helper()
	before := c.reads.Load()
	waittest.Until(c.t, "it is read", func() bool { return c.reads.Load() >= before+n })
}

// agree ends the load and checks that the last changes that subscribers received match the
// presence.
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
	var wrong []string
	defer func() {
		if len(wrong) > 0 {
			c.t.Error(strings.Join(wrong, "\n"))
		}
	}()
	waittest.Until(c.t, "the last received changes match the list", func() bool {
		wrong = differ()
		return len(wrong) == 0
	})
}

// kill kills a node and ends its users.
func (c *crowd) kill(node int) {
	c.mu.Lock()
	for user := range c.staying(node) {
		c.bad[user] = true
	}
	c.nodes[node].dead = true
	c.mu.Unlock()
	c.nodes[node].kill()
}

// gone waits until subscribers have received that a node's users are offline.
func (c *crowd) gone(node int) {
	c.t.Helper()
	waittest.Until(c.t, "a dead node's users are told to be offline", func() bool {
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
