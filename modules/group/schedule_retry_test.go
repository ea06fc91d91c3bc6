package group_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// troubled is a store in which some groups cannot be changed.
type troubled struct {
	grouptest.Store

	mu     sync.Mutex
	failed map[string]int // attempts, by group that cannot be changed
	hang   bool           // attempts block until their context ends, instead of failing at once
}

func (s *troubled) Change(ctx context.Context, groupID, userID string, fn func(group.Tx) error) ([]group.Event, error) {
	s.mu.Lock()
	n, is := s.failed[groupID]
	if is {
		s.failed[groupID] = n + 1
	}
	hang := s.hang
	s.mu.Unlock()
	switch {
	case is && hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case is:
		return nil, errors.New("this group cannot be changed")
	}
	return s.Store.Change(ctx, groupID, userID, fn)
}

// repair makes the groups changeable again, and returns their ids.
func (s *troubled) repair() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := slices.Collect(maps.Keys(s.failed))
	s.failed = nil
	return ids
}

// attempts returns the smallest and the largest number of attempts for a group.
func (s *troubled) attempts() (least, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	least = 1 << 30
	for _, n := range s.failed {
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// newTroubled returns a service with n groups whose timers are due and fail, and a group
// whose timer is due after them.
func newTroubled(t *testing.T, n int) (b *servicetest.Bench, s *troubled, healthy string) {
	t.Helper()
	b = servicetest.New(t, group.Config{})
	s = &troubled{Store: b.Store, failed: make(map[string]int)}
	b.Now = time.Now().Add(-time.Hour)
	timed := func(after time.Duration) string {
		end := b.Now.Add(after)
		g, err := b.Create(t.Context(), alice, dto.CreateRequest{Name: "x", EndsAt: &end})
		if err != nil {
			t.Fatal(err)
		}
		return g.ID
	}
	for range n {
		s.failed[timed(time.Minute)] = 0
	}
	healthy = timed(2 * time.Minute)
	service := group.NewService(group.Config{}, group.Deps{
		Repository: s, Log: s, Announcer: b.Recorder, Signaler: b.Recorder, Now: time.Now,
	})
	for range 2 { // two nodes
		scheduler := upkeep.NewScheduler(service, s, slog.New(slog.DiscardHandler))
		if err := scheduler.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := scheduler.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return b, s, healthy
}

func ended(t *testing.T, b *servicetest.Bench, id string) bool {
	t.Helper()
	return b.Read(t, id).EndedAt != nil
}

// TestFailingTimersKeepNoOtherWaiting checks that failing timers do not delay others. The
// failing ones are due first, and there are more of them than one query returns.
func TestFailingTimersKeepNoOtherWaiting(t *testing.T) {
	t.Parallel()
	b, s, healthy := newTroubled(t, 150)
	waittest.Until(t, "the timer behind those that fail fires", func() bool { return ended(t, b, healthy) })
	waittest.Until(t, "failing timers are tried again", func() bool { least, _ := s.attempts(); return least >= 2 })
	if _, most := s.attempts(); most > 12 {
		// Without increasing waits, each node would try a timer twice a second.
		t.Errorf("a failing timer was tried %d times", most)
	}
	for _, id := range s.repair()[:3] {
		waittest.Until(t, "a timer fires once its group can be changed", func() bool { return ended(t, b, id) })
	}
}

// TestHangingTimersKeepNoOtherWaiting checks that a timer that blocks, for example on a
// lock of another program, does not delay other timers.
func TestHangingTimersKeepNoOtherWaiting(t *testing.T) {
	t.Parallel()
	b, s, healthy := newTroubled(t, 3)
	s.mu.Lock()
	s.hang = true
	s.mu.Unlock()
	waittest.Until(t, "the timer behind those that hang fires", func() bool { return ended(t, b, healthy) })
}
