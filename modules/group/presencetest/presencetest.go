// Package presencetest is the conformance suite for stores of presence. It uses the stores
// of one cluster's nodes through the interface only. Call [Run].
package presencetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// patience is how long the suite waits for an expected event.
const patience = time.Minute

// Open returns the stores of a cluster's nodes, which no other test uses. There are at
// least three, or one if the kind of store supports only one node. They are not started;
// the suite starts and stops them. Open releases its own resources with t.Cleanup.
type Open func(t *testing.T) []presence.Store

// short ends while a test waits. long lasts until other steps of a test are done. never
// does not end.
const (
	short = 100 * time.Millisecond
	long  = 8 * time.Second
	never = time.Hour
)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name  string
		nodes int
		grace time.Duration
		test  func(*testing.T, []*node)
	}{
		{"lists who came and has not gone", 1, never, testList},
		{"keeps groups and users apart, whatever they are called", 1, never, testNames},
		{"takes many changes at once", 1, never, testMany},
		{"counts many groups at once", 1, never, testCount},
		{"changes nothing when asked to do it again", 1, never, testAgain},
		{"is listed while it changes", 1, never, testConcurrent},
		{"waits for who may come back", 1, never, testWait},
		{"does not wait for ever", 1, short, testGraceEnds},
		{"ends many graces", 1, short, testManyGraces},
		{"waits no longer for who comes back", 1, long, testReturn},
		{"waits from the last going on", 1, long, testWaitAgain},
		{"says whom it has seen lately", 1, never, testLately},
		{"keeps a live state until its user is offline", 1, never, testState},
		{"keeps no state of who was never there", 1, never, testStateOfNobody},
		{"says who came first and who went last", 3, never, testFirstAndLast},
		{"waits for who comes back to another node", 3, long, testReturnElsewhere},
		{"the last state stays, wherever it was set", 3, never, testLastState},
		{"a node that stops takes its users along", 3, long, testStopped},
		{"whom a node that stopped waits for, others wait for", 3, long, testStoppedWaiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stores := open(t)
			if len(stores) < c.nodes {
				t.Skip("a node stands alone")
			}
			nodes := make([]*node, len(stores))
			for i, s := range stores {
				nodes[i] = &node{Store: s}
				if named, is := s.(interface{ SetNode(node func() string) }); is {
					named.SetNode(func() string { return fmt.Sprint("node-", i) })
				}
				nodes[i].start(t, c.grace)
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
		if err := s.Start(t.Context(), never, func(string, []group.PresenceChange) {}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func testList(t *testing.T, nodes []*node) {
	n := nodes[0]
	want(t, "present in an unknown group", n.list(t, "g"))
	want(t, "reported", n.apply(t, "g", "+ana", "+bo"), "ana online", "bo online")
	want(t, "present", n.list(t, "g"), "ana online", "bo online")
	want(t, "reported", n.apply(t, "g", "-ana", "+cy"), "ana offline left", "cy online")
	want(t, "present", n.list(t, "g"), "ana offline", "bo online", "cy online")
	n.apply(t, "g", "!bo", "!cy")
	want(t, "present", n.list(t, "g"), "ana offline")
	if told, err := n.Apply(t.Context(), nil); err != nil || len(told) != 0 {
		t.Fatal(told, err)
	}
}

func testNames(t *testing.T, nodes []*node) {
	users := []string{"ana", "ana bo", "bo", " ", "a:b", "{g}", "\x00\xff", "안녕", strings.Repeat("x", 1000), "1"}
	n := nodes[0]
	for i, groupID := range []string{"g", "g h", "h"} {
		for _, user := range users[i:] {
			n.apply(t, groupID, "+"+user)
		}
		n.apply(t, groupID, "~"+users[i])
	}
	for i, groupID := range []string{"g", "g h", "h"} {
		expected := []string{users[i] + " reconnecting"}
		for _, user := range users[i+1:] {
			expected = append(expected, user+" online")
		}
		slices.Sort(expected)
		want(t, "present in "+groupID, n.list(t, groupID), expected...)
	}
}

func testMany(t *testing.T, nodes []*node) {
	const groups, users = 20, 150
	var changes []presence.Attendance
	for u := range users {
		for g := range groups {
			changes = append(changes, presence.Attendance{GroupID: fmt.Sprint("g", g), UserID: fmt.Sprintf("u%03d", u), Here: true})
		}
	}
	told, err := nodes[0].Apply(t.Context(), changes)
	if err != nil || len(told) != len(changes) {
		t.Fatal(len(told), err)
	}
	for i, c := range told {
		if c.UserID != changes[i].UserID || c.Status != group.StatusOnline {
			t.Fatalf("reported %+v for %+v", c, changes[i])
		}
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
	for _, n := range nodes {
		n.apply(t, "g1", "~u0")
		n.apply(t, "g2", "-u0")
	}
	if counts, err = nodes[0].Count(t.Context(), []string{"g1", "g2"}); err != nil || counts[0] != 0 || counts[1] != 1 {
		t.Fatal(counts, err)
	}
}

func testAgain(t *testing.T, nodes []*node) {
	n := nodes[0]
	for i, step := range []struct{ change, told, listed string }{
		{"+ana", "ana online", "ana online"},
		{"~ana", "ana reconnecting dropped", "ana reconnecting"},
		{"-ana", "ana offline left", "ana offline"},
		{"!ana", "", ""},
		{"~ana", "", ""},
	} {
		for again := range 2 {
			var told, listed []string
			if step.told != "" && again == 0 {
				told = []string{step.told}
			}
			if step.listed != "" {
				listed = []string{step.listed}
			}
			want(t, fmt.Sprint("reported in step ", i), n.apply(t, "g", step.change), told...)
			want(t, fmt.Sprint("present after step ", i), n.list(t, "g"), listed...)
		}
	}
}

func testConcurrent(t *testing.T, nodes []*node) {
	var readers sync.WaitGroup
	for _, n := range nodes {
		readers.Go(func() {
			for range 50 {
				users, err := n.List(t.Context(), "g")
				if errors.Is(err, fault.ErrUnavailable) {
					continue // the call timed out on a busy machine
				}
				if err != nil || len(users) > 2 || len(users) == 2 && !slices.ContainsFunc(users, func(p group.Present) bool {
					return p.UserID == "stays" && p.Status == group.StatusOnline
				}) {
					t.Errorf("listed %v: %v", users, err)
				}
			}
		})
		readers.Go(func() {
			for range 50 {
				n.apply(t, "g", "+stays", "+goes")
				n.apply(t, "g", "!goes")
			}
		})
	}
	readers.Wait()
	want(t, "present", nodes[0].list(t, "g"), "stays online")
}
