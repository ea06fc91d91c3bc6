package presence

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// gatedPresence answers when it is told to.
type gatedPresence struct {
	*Memory
	open  chan struct{}
	lists atomic.Int64
}

func (g *gatedPresence) List(ctx context.Context, groupID string) ([]group.Present, error) {
	g.lists.Add(1)
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Memory.List(ctx, groupID)
}

// Many who ask at once share two reads: one that had begun, and one that began
// after they asked.
func TestPresenceSharesReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testPresenceSharesReads)
}

func testPresenceSharesReads(t *testing.T) {
	store := &gatedPresence{Memory: NewMemory(), open: make(chan struct{})}
	p := New(group.Config{}, store, &pushes{}, slog.New(slog.DiscardHandler))
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Apply(t.Context(), []Attendance{{GroupID: "g", UserID: "ana", Here: true}}); err != nil {
		t.Fatal(err)
	}
	const callers = 200
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			present, err := p.List(t.Context(), "g")
			if err != nil || len(present) != 1 {
				t.Errorf("%d present, %v", len(present), err)
			}
		})
	}
	synctest.Wait() // all have asked
	close(store.open)
	all.Wait()
	if n := store.lists.Load(); n > 2 {
		t.Errorf("%d reads for %d who asked at once", n, callers)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if present, err := p.List(ctx, "g"); err != nil || len(present) != 1 {
		t.Errorf("after the end: %d present, %v", len(present), err)
	}
}

// What a subscriber missed between the reading that they were shown and the moment
// from which they are told of changes.
func TestChangesBetween(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	state := json.RawMessage(`{"a":1}`)
	before := []group.Present{
		{UserID: "same", Status: group.StatusOnline},
		{UserID: "drops", Status: group.StatusOnline},
		{UserID: "removed", Status: group.StatusReconnecting},
		{UserID: "sets", Status: group.StatusOnline},
		{UserID: "long gone", Status: group.StatusOffline},
	}
	after := []group.Present{
		{UserID: "same", Status: group.StatusOnline, AsOf: at},
		{UserID: "comes", Status: group.StatusOnline, AsOf: at},
		{UserID: "sets", Status: group.StatusOnline, State: state, AsOf: at},
		{UserID: "drops", Status: group.StatusReconnecting, AsOf: at},
		{UserID: "came and went", Status: group.StatusOffline, AsOf: at},
	}
	want(t, "changes", changesBetween(before, after), []group.PresenceChange{
		{UserID: "comes", Status: group.StatusOnline, At: at},
		{UserID: "sets", Status: group.StatusOnline, State: state, At: at},
		{UserID: "drops", Status: group.StatusReconnecting, At: at},
		{UserID: "removed", Status: group.StatusOffline, At: at},
	})
	want(t, "no changes", changesBetween(before, before), []group.PresenceChange(nil))
}
