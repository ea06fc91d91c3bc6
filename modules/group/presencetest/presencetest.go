// Package presencetest is what every store of presence must pass. It speaks to
// the stores of one cluster's nodes through the seam alone.
package presencetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
)

// patience is how long the suite waits for what must happen.
const patience = 10 * time.Second

// Open returns the stores, not started, of the nodes of a cluster that nobody
// else is in: at least three, or one where a node always stands alone. What it
// needs is released by t.Cleanup; the suite stops the stores.
type Open func(t *testing.T) []group.PresenceStore

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name  string
		nodes int
		test  func(*testing.T, []*node)
	}{
		{"lists who came and has not gone", 1, testList},
		{"keeps groups and users apart, whatever they are called", 1, testNames},
		{"takes many changes at once", 1, testMany},
		{"counts many groups at once", 1, testCount},
		{"answers the same when asked to do it again", 1, testAgain},
		{"is listed while it changes", 1, testConcurrent},
		{"says who came first and who went last", 3, testFirstAndLast},
		{"a node that stops takes its users along", 3, testStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stores := open(t)
			if len(stores) < c.nodes {
				t.Skip("a node stands alone")
			}
			nodes := make([]*node, len(stores))
			for i, s := range stores {
				nodes[i] = &node{PresenceStore: s}
				nodes[i].start(t)
			}
			c.test(t, nodes)
		})
	}
	t.Run("stops twice, and before the start", func(t *testing.T) {
		t.Parallel()
		s := open(t)[0]
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		s = open(t)[0]
		if err := s.Start(t.Context(), func(string, []string, bool) {}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// node is one store and what it told.
type node struct {
	group.PresenceStore

	mu   sync.Mutex
	told []string
}

func (n *node) start(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	err := n.Start(t.Context(), func(groupID string, users []string, here bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, user := range users {
			n.told = append(n.told, fmt.Sprint(groupID, " ", user, " ", here))
		}
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
}

// news returns what nodes told, together.
func news(nodes ...*node) []string {
	var all []string
	for _, n := range nodes {
		n.mu.Lock()
		all = append(all, n.told...)
		n.mu.Unlock()
	}
	slices.Sort(all)
	return all
}

// apply stores changes like "+ana", "-bo" and returns the users of whom it was
// said that no other node has them.
func (n *node) apply(t *testing.T, groupID string, changes ...string) []string {
	t.Helper()
	attendances := make([]group.Attendance, len(changes))
	for i, c := range changes {
		attendances[i] = group.Attendance{GroupID: groupID, UserID: c[1:], Here: c[0] == '+'}
	}
	alone, err := n.Apply(t.Context(), attendances)
	if err != nil {
		t.Fatalf("apply %s: %v", strings.Join(changes[:min(10, len(changes))], " "), err)
	}
	if len(alone) != len(changes) {
		t.Fatalf("%d answers to %d changes", len(alone), len(changes))
	}
	var users []string
	for i, a := range attendances {
		if alone[i] {
			users = append(users, a.UserID)
		}
	}
	return users
}

func (n *node) list(t *testing.T, groupID string) []string {
	t.Helper()
	users, err := n.List(t.Context(), groupID)
	if err != nil {
		t.Fatalf("list %s: %v", groupID, err)
	}
	return slices.Sorted(slices.Values(users))
}

func want(t *testing.T, what string, got []string, expected ...string) {
	t.Helper()
	if diff := cmp.Diff(expected, append([]string(nil), got...)); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}

func testList(t *testing.T, nodes []*node) {
	n := nodes[0]
	want(t, "present in an unknown group", n.list(t, "g"))
	want(t, "came first", n.apply(t, "g", "+ana", "+bo"), "ana", "bo")
	want(t, "present", n.list(t, "g"), "ana", "bo")
	want(t, "went last", n.apply(t, "g", "-ana", "+cy"), "ana", "cy")
	want(t, "present", n.list(t, "g"), "bo", "cy")
	n.apply(t, "g", "-bo", "-cy")
	want(t, "present", n.list(t, "g"))
	if alone, err := n.Apply(t.Context(), nil); err != nil || len(alone) != 0 {
		t.Fatal(alone, err)
	}
}

func testNames(t *testing.T, nodes []*node) {
	users := []string{"ana", "ana bo", "bo", " ", "a:b", "{g}", "\x00\xff", "안녕", strings.Repeat("x", 1000), "1"}
	n := nodes[0]
	for i, groupID := range []string{"g", "g h", "h"} {
		for _, user := range users[i:] {
			n.apply(t, groupID, "+"+user)
		}
	}
	for i, groupID := range []string{"g", "g h", "h"} {
		want(t, "present in "+groupID, n.list(t, groupID), slices.Sorted(slices.Values(users[i:]))...)
	}
}

func testMany(t *testing.T, nodes []*node) {
	const groups, users = 20, 150
	var changes []group.Attendance
	for u := range users {
		for g := range groups {
			changes = append(changes, group.Attendance{GroupID: fmt.Sprint("g", g), UserID: fmt.Sprintf("u%03d", u), Here: true})
		}
	}
	alone, err := nodes[0].Apply(t.Context(), changes)
	if err != nil || len(alone) != len(changes) || slices.Contains(alone, false) {
		t.Fatal(len(alone), err)
	}
	for g := range groups {
		if n := len(nodes[0].list(t, fmt.Sprint("g", g))); n != users {
			t.Fatalf("%d users in g%d, want %d", n, g, users)
		}
	}
}

func testCount(t *testing.T, nodes []*node) {
	groupIDs := []string{"none"}
	expected := []int{0}
	for g := range 200 {
		groupID := fmt.Sprint("g", g)
		groupIDs, expected = append(groupIDs, groupID), append(expected, g%3)
		for u := range g % 3 {
			for _, n := range nodes {
				n.apply(t, groupID, fmt.Sprint("+u", u))
			}
		}
	}
	counts, err := nodes[0].Count(t.Context(), groupIDs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, counts); diff != "" {
		t.Fatal(diff)
	}
}

// Nobody knows what became of a change whose answer was lost.
func testAgain(t *testing.T, nodes []*node) {
	n := nodes[0]
	for range 2 {
		want(t, "came first", n.apply(t, "g", "+ana"), "ana")
		want(t, "present", n.list(t, "g"), "ana")
	}
	for range 2 {
		want(t, "went last", n.apply(t, "g", "-ana"), "ana")
		want(t, "present", n.list(t, "g"))
	}
}

func testConcurrent(t *testing.T, nodes []*node) {
	var readers sync.WaitGroup
	for _, n := range nodes {
		readers.Go(func() {
			for range 50 {
				users, err := n.List(t.Context(), "g")
				if err != nil || !slices.Contains(users, "stays") && len(users) > 0 {
					t.Errorf("listed %v: %v", users, err)
				}
			}
		})
		readers.Go(func() {
			for range 50 {
				n.apply(t, "g", "+stays", "+goes")
				n.apply(t, "g", "-goes")
			}
		})
	}
	readers.Wait()
	want(t, "present", nodes[0].list(t, "g"), "stays")
}

func testFirstAndLast(t *testing.T, nodes []*node) {
	a, b, c := nodes[0], nodes[1], nodes[2]
	want(t, "came first on a", a.apply(t, "g", "+ana", "+bo"), "ana", "bo")
	want(t, "came first on b", b.apply(t, "g", "+ana", "+cy"), "cy")
	want(t, "came first on c", c.apply(t, "g", "+ana"))
	for _, n := range nodes {
		want(t, "present", n.list(t, "g"), "ana", "bo", "cy")
	}
	want(t, "went last from a", a.apply(t, "g", "-ana", "-bo"), "bo")
	want(t, "present", c.list(t, "g"), "ana", "cy")
	want(t, "went last from c", c.apply(t, "g", "-ana"))
	want(t, "went last from b", b.apply(t, "g", "-ana"), "ana")
	want(t, "present", a.list(t, "g"), "cy")
	want(t, "told", news(nodes...))
}

func testStopped(t *testing.T, nodes []*node) {
	nodes[0].apply(t, "g", "+ana", "+bo")
	nodes[0].apply(t, "h", "+ana")
	nodes[1].apply(t, "g", "+bo")
	if err := nodes[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "present", nodes[1].list(t, "g"), "bo")
	want(t, "present", nodes[2].list(t, "h"))
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(news(nodes[1:]...)) < 2 {
		select {
		case <-deadline:
			t.Fatal("nobody was told")
		case <-tick.C:
		}
	}
	want(t, "told", news(nodes[1:]...), "g ana false", "h ana false")
	want(t, "told by the one that stopped", news(nodes[0]))
}
