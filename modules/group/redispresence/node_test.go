package redispresence_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests mostly wait
		panic(err)
	}
	redisrole.LogTo(slog.New(slog.DiscardHandler))
	// After its client was closed, go-redis tries for up to a second to reach a killed
	// server.
	childtest.VerifyMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// within is how long a test waits for an expected event.
const within = time.Minute

// tooLong is longer than one call may take. Two calls in sequence would take even longer.
const tooLong = 3 * time.Second

// passing waits while nothing should happen.
func passing(d time.Duration) { <-time.After(d) }

// node is a store with short times (see [redispresence.Hurry]), and the changes that it
// reported.
type node struct {
	*redispresence.Store

	grace time.Duration

	mu   sync.Mutex
	told []string
}

var nodes atomic.Int64

// newNode returns a node that is not started.
func newNode(t testing.TB, cfg redisrole.Config) *node {
	t.Helper()
	clients, err := redisrole.New(cfg, redisrole.NodeID(fmt.Sprint("node-", nodes.Add(1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{grace: never, Store: redispresence.New(clients, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))}
	redispresence.Hurry(n.Store)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = clients.Close()
	})
	return n
}

// never is a grace that does not end during a test.
const never = time.Hour

func startNode(t testing.TB, url string) *node {
	t.Helper()
	return startNodeGrace(t, url, never)
}

func startNodeGrace(t testing.TB, url string, grace time.Duration) *node {
	t.Helper()
	n := newNode(t, redisrole.Config{URL: url})
	n.grace = grace
	n.start(t)
	return n
}

// describe returns a change as text, such as "ana offline left".
func describe(c group.PresenceChange) string {
	text := c.UserID + " " + c.Status
	if c.Reason != "" {
		text += " " + c.Reason
	}
	if c.State != nil {
		text += " " + string(c.State)
	}
	return text
}

func (n *node) start(t testing.TB) {
	t.Helper()
	err := n.Start(t.Context(), n.grace, func(groupID string, changes []group.PresenceChange) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, c := range changes {
			n.told = append(n.told, groupID+" "+describe(c))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// news returns all changes that the nodes have reported.
func news(all ...*node) []string {
	var told []string
	for _, n := range all {
		n.mu.Lock()
		told = append(told, n.told...)
		n.mu.Unlock()
	}
	slices.Sort(told)
	return told
}

// try stores changes and returns those to report to subscribers. "+ana" comes, "~ana" drops
// and "-ana" leaves.
func (n *node) try(ctx context.Context, groupID string, changes ...string) ([]string, error) {
	attendances := make([]presence.Attendance, len(changes))
	for i, c := range changes {
		a := presence.Attendance{GroupID: groupID, UserID: c[1:], Here: c[0] == '+'}
		switch c[0] {
		case '~':
			a.Reason = group.ReasonDropped
		case '-':
			a.Reason, a.Final = group.ReasonLeft, true
		}
		attendances[i] = a
	}
	told, err := n.Apply(ctx, attendances)
	var texts []string
	for _, c := range told {
		if c.Status != "" {
			texts = append(texts, describe(c))
		}
	}
	return texts, err
}

func (n *node) apply(t testing.TB, groupID string, changes ...string) []string {
	t.Helper()
	var users []string
	waittest.Until(t, "the changes are stored", func() bool { // calls may time out on a busy machine
		var err error
		users, err = n.try(t.Context(), groupID, changes...)
		if err != nil && !errors.Is(err, fault.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	return users
}

// listed returns the users with a status, separated by spaces, or the error.
func (n *node) listed(t testing.TB, groupID, status string) string {
	t.Helper()
	present, err := n.List(t.Context(), groupID)
	if err != nil {
		return err.Error()
	}
	var users []string
	for _, p := range present {
		if p.Status == status {
			users = append(users, p.UserID)
		}
	}
	slices.Sort(users)
	return strings.Join(users, " ")
}

// lists reports whether exactly these users, separated by spaces, are online.
func (n *node) lists(t testing.TB, groupID, users string) bool {
	t.Helper()
	return n.listed(t, groupID, group.StatusOnline) == users
}

// usersKey returns the key of the users of group g.
func usersKey(t testing.TB, s *redistest.Server) string {
	t.Helper()
	for _, key := range s.Client().Keys(t.Context(), "*{g}*").Val() {
		if !strings.Contains(key[strings.Index(key, "}:")+2:], ":") {
			return key
		}
	}
	t.Fatal("no user is stored")
	return ""
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}
