package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group/presence"
)

// written is a store that takes reports, or cannot be written.
type written struct {
	PresenceStore

	mu     sync.Mutex
	down   bool
	tried  int
	online map[string]bool
}

func (w *written) Record(_ context.Context, reports []Report) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tried++; w.down {
		return 0, errors.New("the database is down")
	}
	for _, r := range reports {
		w.online[r.UserID] = r.Online
	}
	return len(reports), nil
}

func (w *written) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for id, online := range w.online {
		all = append(all, fmt.Sprint(id, " ", online))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestRecorder sees users before the hooks are known, while none chose presence, and while
// the database is down.
func TestRecorder(t *testing.T) {
	t.Parallel()
	store := &written{online: make(map[string]bool)}
	r := NewRecorder(store, slog.New(slog.DiscardHandler))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	see := func(users ...string) {
		for _, u := range users {
			at = at.Add(time.Millisecond)
			r.Saw(presence.Sighting{GroupID: "g", UserID: u[1:], Online: u[0] == '+', At: at})
		}
	}
	see("+ana")
	r.want(true)
	waittest.Until(t, "what was seen before is stored", func() bool { return store.text() == "ana true" })
	r.want(false)
	see("-ana", "+bo")
	r.want(true)
	see("+cy")
	waittest.Until(t, "nothing is stored of what nobody chose", func() bool { return store.text() == "ana true, cy true" })

	store.mu.Lock()
	store.down, store.tried = true, 0
	store.mu.Unlock()
	see("-ana", "+ana", "-ana", "+dee")
	r.Saw(presence.Sighting{GroupID: "g", UserID: "ana", Online: true, At: at.Add(-time.Minute)}) // late
	waittest.Until(t, "it is tried again", func() bool {
		store.mu.Lock()
		defer store.mu.Unlock()
		return store.tried > 1
	})
	see("-dee", "+eve")
	store.mu.Lock()
	store.down = false
	store.mu.Unlock()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := store.text(), "ana false, cy true, dee false, eve true"; got != want {
		t.Errorf("stored: %s, want %s", got, want)
	}
	if r.takeLost() {
		t.Error("something counts as lost")
	}
}

// TestRecorderIsBounded sees more users than it keeps.
func TestRecorderIsBounded(t *testing.T) {
	t.Parallel()
	store := &written{online: make(map[string]bool)}
	r := NewRecorder(store, slog.New(slog.DiscardHandler))
	r.max = 2
	r.Saw(presence.Sighting{GroupID: "g", UserID: "before", Online: true, At: time.UnixMilli(0)})
	r.want(false)
	r.want(true)
	for i := range 5 {
		r.Saw(presence.Sighting{GroupID: "g", UserID: fmt.Sprint(i % 3), Online: i < 3, At: time.UnixMilli(int64(i))})
	}
	if r.takeLost() {
		t.Error("what was lost is to be reported while there is no room")
	}
	if err := r.write(t.Context()); err != nil || store.text() != "0 false, 1 false" {
		t.Errorf("stored: %s, %v", store.text(), err)
	}
	if !r.takeLost() || r.takeLost() {
		t.Error("what was lost is not reported once")
	}
}
