package redisadapter_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// pairOf returns a node that gathers for so long, and one that listens to it.
func pairOf(t *testing.T, gather time.Duration) (from, to *node, s *redistest.Server) {
	t.Helper()
	s = redistest.Start(t)
	cfg := redisrole.Config{URL: s.URL()}
	from, to = newGathering(t, gather, cfg, nil), newNode(t, cfg, nil)
	from.start(t)
	to.start(t)
	to.join(t, "r")
	return from, to, s
}

func (n *node) cast(t testing.TB, events ...string) {
	t.Helper()
	for _, event := range events {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: event})
	}
}

// hears waits for events, in this order.
func (n *node) hears(t testing.TB, events ...string) {
	t.Helper()
	for _, event := range events {
		if env := n.next(t); env.Event != event {
			t.Fatalf("%s arrived, want %s", env.Event, event)
		}
	}
}

// hearsNothing gives what must not arrive some time to do so.
func (n *node) hearsNothing(t testing.TB) {
	t.Helper()
	select {
	case env := <-n.received:
		t.Fatalf("%s arrived", env.Event)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestPublishTakesWhatIsGatheredWithIt(t *testing.T) {
	t.Parallel()
	from, to, _ := pairOf(t, time.Hour)
	from.cast(t, "first")
	to.hears(t, "first") // it is alone, and goes at once
	for i := range 3 {
		before, after := "before "+strconv.Itoa(i), "after "+strconv.Itoa(i)
		from.cast(t, before, before)
		to.hearsNothing(t)
		from.publish(t, "r", "published")
		from.publish(t, "r", "at once")
		from.cast(t, after)
		to.hears(t, before, before, "published", "at once")
		to.hearsNothing(t)
		from.publish(t, "r", "last")
		to.hears(t, after, "last")
	}
	eventually(t, "all are counted", func() bool { return from.Stats().Published == 1+3*6 })
	if s := from.Stats(); s.Failed != 0 || s.Queued != 0 {
		t.Errorf("%d failed and %d are queued", s.Failed, s.Queued)
	}
}

func TestTheWindowEndsByItself(t *testing.T) {
	t.Parallel()
	const window = 100 * time.Millisecond
	from, to, _ := pairOf(t, window)
	began := time.Now()
	from.cast(t, "1")
	to.hears(t, "1")
	from.cast(t, "2", "3")
	to.hears(t, "2", "3")
	if took := time.Since(began); took < window {
		t.Errorf("the others arrived after %s: they were not gathered", took)
	}
	from.cast(t, "4") // in the window after that
	to.hears(t, "4")
	if took := time.Since(began); took < 2*window {
		t.Errorf("the last arrived after %s: it was not gathered", took)
	}
}

// TestABatchIsNoBound: what does not fit into a round trip has waited already.
func TestABatchIsNoBound(t *testing.T) {
	t.Parallel()
	const window = time.Second
	from, to, _ := pairOf(t, window)
	began := time.Now()
	from.cast(t, "first")
	to.hears(t, "first")
	var events []string
	for i := range 600 { // three batches
		events = append(events, strconv.Itoa(i))
	}
	from.cast(t, events...)
	to.hears(t, events...)
	if took := time.Since(began); took < window || took >= 3*window {
		t.Errorf("it took %s, not one window", took)
	}
}

func TestStopPublishesWhatIsGathered(t *testing.T) {
	t.Parallel()
	from, to, _ := pairOf(t, time.Hour)
	from.cast(t, "1")
	to.hears(t, "1")
	from.cast(t, "2", "3", "4")
	to.hearsNothing(t)
	if err := from.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	to.hears(t, "2", "3", "4")
	if s := from.Stats(); s.Published != 4 || s.Failed != 0 {
		t.Errorf("%d were published and %d failed, want 4 and 0", s.Published, s.Failed)
	}
}

func TestStopCountsWhatItCannotPublish(t *testing.T) {
	t.Parallel()
	from, to, s := pairOf(t, time.Hour)
	from.cast(t, "1")
	to.hears(t, "1")
	from.cast(t, "2", "3")
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := from.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if s := from.Stats(); s.Published != 1 || s.Failed != 2 {
		t.Errorf("%d were published and %d failed, want 1 and 2", s.Published, s.Failed)
	}
}
