package presencetest

import (
	"context"
	"encoding/json"
	"errors"
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

// node is one store and the changes that it reported.
type node struct {
	presence.Store

	mu   sync.Mutex
	told []string
}

func (n *node) start(t *testing.T, grace time.Duration) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	err := n.Start(t.Context(), grace, func(groupID string, changes []group.PresenceChange) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, c := range changes {
			n.told = append(n.told, groupID+" "+describe(t, c))
		}
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
}

// describe returns a change as "ana offline left" or "ana online again", and checks its time.
func describe(t *testing.T, c group.PresenceChange) string {
	if d := time.Since(c.At).Abs(); d > time.Minute || c.At.Location() != time.UTC {
		t.Errorf("a wrong time: %s", c.At)
	}
	text := c.UserID + " " + c.Status
	if c.Returned {
		text += " again"
	}
	if c.Reason != "" {
		text += " " + c.Reason
	}
	if c.State != nil {
		text += " " + string(c.State)
	}
	return text
}

// news returns all changes that nodes have reported.
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

// needNews waits until nodes have reported exactly these changes.
func needNews(t *testing.T, nodes []*node, expected ...string) {
	t.Helper()
	eventually(t, "the changes are reported", func() bool { return len(news(nodes...)) >= len(expected) })
	want(t, "reported", news(nodes...), expected...)
}

// apply stores changes and returns those to report to subscribers. "+ana" comes, "~ana"
// drops, "-ana" leaves and "!ana" is removed.
func (n *node) apply(t *testing.T, groupID string, changes ...string) []string {
	t.Helper()
	attendances := make([]presence.Attendance, len(changes))
	for i, c := range changes {
		a := presence.Attendance{GroupID: groupID, UserID: c[1:]}
		switch c[0] {
		case '+':
			a.Here = true
		case '~':
			a.Reason = group.ReasonDropped
		case '-':
			a.Reason, a.Final = group.ReasonLeft, true
		case '!':
			a.Reason, a.Final, a.Forget = group.ReasonRemoved, true, true
		}
		attendances[i] = a
	}
	var told []group.PresenceChange
	eventually(t, "the changes are stored", func() bool { // calls may time out on a busy machine
		var err error
		told, err = n.Apply(t.Context(), attendances)
		if err != nil && !errors.Is(err, fault.ErrUnavailable) {
			t.Fatalf("apply %s: %v", strings.Join(changes[:min(10, len(changes))], " "), err)
		}
		return err == nil
	})
	if len(told) != len(changes) {
		t.Fatalf("%d results for %d changes", len(told), len(changes))
	}
	var texts []string
	for _, c := range told {
		if c.Status != "" {
			texts = append(texts, describe(t, c))
		}
	}
	return texts
}

func (n *node) setState(t *testing.T, groupID, user, state string) {
	t.Helper()
	var at time.Time
	eventually(t, "a state is set", func() bool { // calls may time out on a busy machine
		var err error
		at, err = n.SetState(t.Context(), groupID, user, json.RawMessage(state))
		if err != nil && !errors.Is(err, fault.ErrUnavailable) {
			t.Fatalf("set a state: %v", err)
		}
		return err == nil
	})
	if d := time.Since(at).Abs(); d > time.Minute {
		t.Errorf("a wrong time: %s", at)
	}
}

func (n *node) read(t *testing.T, groupID string) (users []group.Present) {
	t.Helper()
	eventually(t, "the list of "+groupID, func() bool { // calls may time out on a busy machine
		var err error
		users, err = n.List(t.Context(), groupID)
		if err != nil && !errors.Is(err, fault.ErrUnavailable) {
			t.Fatalf("list %s: %v", groupID, err)
		}
		return err == nil
	})
	return users
}

// list returns the listed users, as "ana online {}".
func (n *node) list(t *testing.T, groupID string) []string {
	t.Helper()
	var texts []string
	for _, p := range n.read(t, groupID) {
		if p.LastSeenAt == nil && p.Status == group.StatusOffline || p.LastSeenAt != nil && p.Status == group.StatusOnline {
			t.Errorf("%s is %s, last seen %v", p.UserID, p.Status, p.LastSeenAt)
		}
		if p.LastSeenAt != nil && time.Since(*p.LastSeenAt).Abs() > time.Minute {
			t.Errorf("%s was last seen at %s", p.UserID, p.LastSeenAt)
		}
		text := p.UserID + " " + p.Status
		if p.State != nil {
			text += " " + string(p.State)
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

// details returns the nodes of online users, and the reasons of the others.
func (n *node) details(t *testing.T, groupID string) (texts []string) {
	t.Helper()
	for _, p := range n.read(t, groupID) {
		text := p.UserID
		if len(p.Nodes) > 0 {
			text += " on " + strings.Join(slices.Sorted(slices.Values(p.Nodes)), " ")
		}
		if p.Reason != "" {
			text += " because " + p.Reason
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

func want(t *testing.T, what string, got []string, expected ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string(nil), expected...), append([]string(nil), got...)); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("it did not happen in %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

// passing waits while nothing should happen.
func passing(d time.Duration) { <-time.After(d) }
