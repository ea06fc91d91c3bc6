// Package servicetest runs a group.Service on a separate store, for the tests of package
// group and its api.
package servicetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Recorder records what a service announces and signals. A test may read its fields only
// while nothing is announced.
type Recorder struct {
	mu        sync.Mutex
	Announced []group.Event
	Signals   []adapter.Envelope
}

// Announce implements group.Announcer.
func (r *Recorder) Announce(_ context.Context, events []group.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Announced = append(r.Announced, events...)
}

// Cast implements group.Signaler.
func (r *Recorder) Cast(_ context.Context, env adapter.Envelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Signals = append(r.Signals, env)
}

// Take returns the events announced since the last call, as "version type".
func (r *Recorder) Take() []string {
	var got []string
	for _, e := range r.TakeEvents() {
		got = append(got, fmt.Sprint(e.Version, " ", e.Type))
	}
	return got
}

// TakeEvents returns the events announced since the last call.
func (r *Recorder) TakeEvents() []group.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.Announced
	r.Announced = nil
	return events
}

// Bench is a service on a separate store, with a time that the test sets.
type Bench struct {
	*group.Service
	*Recorder
	Store grouptest.Store
	Now   time.Time
}

// New returns a bench on SQLite.
func New(t *testing.T, cfg group.Config) *Bench {
	t.Helper()
	return NewOn(cfg, OpenStore(t))
}

// NewOn returns a bench on a store.
func NewOn(cfg group.Config, st grouptest.Store) *Bench { return newBench(cfg, st, nil) }

// NewGuarded returns a bench on SQLite whose service asks a gatekeeper.
func NewGuarded(t *testing.T, cfg group.Config, g group.Gatekeeper) *Bench {
	t.Helper()
	return newBench(cfg, OpenStore(t), g)
}

func newBench(cfg group.Config, st grouptest.Store, gatekeeper group.Gatekeeper) *Bench {
	b := &Bench{Recorder: &Recorder{}, Store: st, Now: time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)}
	b.Service = group.NewService(cfg, group.Deps{
		Repository: b.Store,
		Log:        b.Store,
		Announcer:  b.Recorder,
		Signaler:   b.Recorder,
		Gatekeeper: gatekeeper,
		Now:        func() time.Time { return b.Now },
	})
	return b
}

// User returns a user whose name is the id in upper case.
func User(id string) auth.Identity { return auth.Identity{UserID: id, Name: strings.ToUpper(id)} }

// NewGroup makes a group owned by alice with an admin called admin and members
// called member and other. body is the request for it.
func (b *Bench) NewGroup(t *testing.T, body string) group.Group {
	t.Helper()
	ctx, alice := t.Context(), User("alice")
	g, err := b.Create(ctx, alice, Decode[dto.CreateRequest](t, body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddMembers(ctx, auth.Identity{UserID: "backend", Admin: true}, g.ID, dto.AddMembersRequest{UserIDs: []string{"admin", "member", "other"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UpdateMember(ctx, alice, g.ID, "admin", Decode[dto.UpdateMemberRequest](t, `{"role":"admin"}`)); err != nil {
		t.Fatal(err)
	}
	b.Take()
	return b.Read(t, g.ID)
}

// Read returns a group as a back end gets it.
func (b *Bench) Read(t *testing.T, id string) group.Group {
	t.Helper()
	g, err := b.Get(t.Context(), auth.Identity{UserID: "backend", Admin: true}, id)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Decode returns JSON as a T.
func Decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// WantCode fails the test unless err has the code, or is nil if the code is
// "ok".
func WantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if Code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// Insist repeats a call while the database does not answer in time, for at most a minute,
// as a client does. On a busy machine, many calls that need the same lock may be delayed. A
// call without an answer may have been carried out.
func Insist(fn func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := fn()
		if !errors.Is(err, fault.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
	}
}

// Code returns the code that a client gets for err, or "ok" for nil.
func Code(err error) string {
	if err == nil {
		return "ok"
	}
	return fault.From(err).Code
}
