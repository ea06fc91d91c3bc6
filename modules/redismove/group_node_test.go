package redismove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// within is how long a test waits for an expected event.
const within = time.Minute

// presenceNode is a node with presence on servers that change.
type presenceNode struct {
	*GroupPart

	from, to *redisrole.Clients
	at       Phase
	dead     bool

	here sync.WaitGroup // goroutines that use the node
}

func newPresenceNode(t testing.TB, from, to *redisrole.Clients) *presenceNode {
	t.Helper()
	m := &presenceNode{from: from, to: to, GroupPart: NewGroupPart(from, slog.New(slog.NewTextHandler(t.Output(), nil)))}
	m.open = func(c *redisrole.Clients) *redispresence.Store {
		s := redispresence.New(c, m.log)
		s.SetTiming(redispresence.Timing{Lease: groupLease, Renew: groupRenew, Retry: 50 * time.Millisecond, Look: 50 * time.Millisecond})
		return s
	}
	m.primary.store = m.open(from)
	return m
}

// enter enters a phase, like the mover.
func (m *presenceNode) enter(ctx context.Context, p Phase) error {
	s := Step{Phase: p, Forward: p > m.at, From: m.from, To: m.to}
	if err := s.check(ctx, redisrole.Group); err != nil {
		return err
	}
	err := m.Enter(ctx, s)
	if err == nil {
		m.at = p
	}
	return err
}

func (m *presenceNode) mustEnter(t testing.TB, p Phase) {
	t.Helper()
	waittest.Until(t, fmt.Sprint("phase ", p), func() bool {
		err := m.enter(t.Context(), p)
		if err != nil && !errors.Is(err, ErrNotYet) {
			t.Fatalf("phase %d: %v", p, err)
		}
		return err == nil
	})
}

var nodeNumber atomic.Int64

func openGroup(t testing.TB, url, prefix string) *redisrole.Clients {
	t.Helper()
	c, err := redisrole.New(redisrole.Config{URL: url, Prefix: prefix}, redisrole.NodeID(fmt.Sprint("node-", nodeNumber.Add(1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// kill ends a node like a killed process: it releases nothing.
func (m *presenceNode) kill() {
	_ = m.from.Close()
	_ = m.to.Close()
	_ = m.Stop(context.Background())
}
