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

// written is a store that keeps reports. It fails while it is down.
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

// TestRecorder checks the recorder before the hooks are known, while no hook has chosen
// presence, and while the database is down.
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
	waittest.Until(t, "only changes that a hook has chosen are stored", func() bool { return store.text() == "ana true, cy true" })

	store.mu.Lock()
	store.down, store.tried = true, 0
	store.mu.Unlock()
	see("-ana", "+ana", "-ana", "+dee")
	r.Saw(presence.Sighting{GroupID: "g", UserID: "ana", Online: true, At: at.Add(-time.Minute)}) // a late report, older than the others
	waittest.Until(t, "the recorder retries", func() bool {
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
		t.Error("the recorder reports lost changes, but none were lost")
	}
}

// TestRecorderIsBounded checks that the recorder drops changes above its limit, and reports
// the loss once.
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
		t.Error("lost changes are to be reported although the recorder is still full")
	}
	if err := r.write(t.Context()); err != nil || store.text() != "0 false, 1 false" {
		t.Errorf("stored: %s, %v", store.text(), err)
	}
	if !r.takeLost() || r.takeLost() {
		t.Error("lost changes are not reported exactly once")
	}
}
