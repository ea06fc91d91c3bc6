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

// gatedPresence is a store whose List blocks until open is closed.
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

// TestPresenceSharesReads checks that concurrent callers share two reads. The first read
// may be too old for callers who came during it, so these share the second one.
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
	synctest.Wait() // all callers have called List
	close(store.open)
	all.Wait()
	if n := store.lists.Load(); n > 2 {
		t.Errorf("%d reads for %d concurrent callers", n, callers)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if present, err := p.List(ctx, "g"); err != nil || len(present) != 1 {
		t.Errorf("after Stop: %d present, %v", len(present), err)
	}
}

// TestChangesBetween compares two lists of present users. A new subscriber gets the changes
// between the list in their answer and the moment when they join the room.
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
