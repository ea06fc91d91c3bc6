package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// attendances is a store that records its calls. It can fail, before or after it has
// written.
type attendances struct {
	*Memory
	tell func(groupID string, changes []group.PresenceChange)

	mu      sync.Mutex
	refuse  error
	lose    bool // the write is done, but an error is returned
	lost    map[attendanceKey]group.PresenceChange
	entered chan struct{} // if set, Apply waits twice: when it begins and before it ends
	applied int

	elsewhere map[string]bool // users who are also online on another node
}

func newAttendances() *attendances {
	return &attendances{Memory: NewMemory(), lost: make(map[attendanceKey]group.PresenceChange)}
}

func (a *attendances) Start(ctx context.Context, grace time.Duration, tell func(string, []group.PresenceChange)) error {
	a.tell = tell
	return a.Memory.Start(ctx, grace, tell)
}

func (a *attendances) fail(err error, lose bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse, a.lose = err, lose
}

func (a *attendances) Apply(ctx context.Context, changes []Attendance) ([]group.PresenceChange, error) {
	a.mu.Lock()
	a.applied++
	refuse, lose, entered := a.refuse, a.lose, a.entered
	a.mu.Unlock()
	if entered != nil {
		entered <- struct{}{}
		<-entered
	}
	if refuse != nil && !lose {
		return nil, refuse
	}
	told, err := a.Memory.Apply(ctx, changes)
	for i, c := range changes {
		key := attendanceKey{c.GroupID, c.UserID}
		switch {
		case refuse != nil && told[i].Status != "":
			a.lost[key] = told[i]
		case refuse == nil && told[i].Status == "": // a change whose report was lost is reported when it is made again
			told[i] = a.lost[key]
			delete(a.lost, key)
		}
	}
	return told, errors.Join(refuse, err)
}

func (a *attendances) List(ctx context.Context, groupID string) ([]group.Present, error) {
	present, err := a.Memory.List(ctx, groupID)
	a.mu.Lock()
	defer a.mu.Unlock()
	for userID := range a.elsewhere {
		present = append(present, group.Present{UserID: userID, Status: group.StatusOnline})
	}
	return present, err
}

func (a *attendances) users(groupID string) []string {
	present, _ := a.List(context.Background(), groupID)
	var users []string
	for _, p := range present {
		if p.Status == group.StatusOnline {
			users = append(users, p.UserID)
		}
	}
	slices.Sort(users)
	return users
}

// pushes is an emitter that keeps the presence changes that were sent.
type pushes struct {
	Sender
	mu    sync.Mutex
	sent  []string
	bytes atomic.Int64
}

func (p *pushes) CastQueued(_ context.Context, env adapter.Envelope) {
	var data struct {
		GroupID string
		Online  *int
		Items   []group.PresenceChange
	}
	if err := json.Unmarshal(env.Data, &data); err != nil || env.Event != "group:presence" || env.Room != group.Room(data.GroupID) {
		panic(fmt.Sprint("not a presence change: ", env, err))
	}
	if len(env.Data) > maxPush {
		panic(fmt.Sprint("a push of ", len(env.Data), " bytes"))
	}
	text := data.GroupID + ":"
	if data.Online != nil {
		text += fmt.Sprint(" ", *data.Online)
	}
	for _, item := range data.Items {
		if item.At.IsZero() || item.At.Location() != time.UTC {
			panic(fmt.Sprint("a wrong time: ", item.At))
		}
		text += " " + item.UserID + " " + item.Status
		if item.Reason != "" {
			text += " " + item.Reason
		}
		if item.State != nil {
			text += " " + string(item.State)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, text)
	p.bytes.Add(int64(len(env.Data)))
}

// take returns the pushes since the last call.
func (p *pushes) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent
	p.sent = nil
	slices.Sort(sent)
	return sent
}

// watched runs fn with a started tracker and with fake time.
func watched(t *testing.T, fn func(t *testing.T, p *Tracker, store *attendances, out *pushes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, out := newAttendances(), &pushes{}
		p := New(group.Config{PresenceGrace: time.Minute}, store, out, slog.New(slog.DiscardHandler))
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		fn(t, p, store, out)
	})
}

// after waits for d, and until everything that happens then is done.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s:\n%s", what, diff)
	}
}
