package group_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/upkeep"
)

func TestNextTimer(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	g := group.Group{EndsAt: &end, RemindBefore: []int{600, 60}}
	for _, tc := range []struct{ after, want time.Duration }{ // durations before the end
		{time.Hour, 10 * time.Minute},
		{10 * time.Minute, time.Minute},
		{9 * time.Minute, time.Minute},
		{time.Minute, 0},
		{time.Second, 0},
		{-time.Hour, 0}, // the timer is overdue, and fires at once
	} {
		if next := g.NextTimer(end.Add(-tc.after)); next == nil || !next.Equal(end.Add(-tc.want)) {
			t.Errorf("%s before the end: next is %v", tc.after, next)
		}
	}
	ended := g
	ended.EndedAt = &end
	if next := ended.NextTimer(end); next != nil || (group.Group{}).NextTimer(end) != nil {
		t.Errorf("a group that does not end has a timer at %v", next)
	}
}

// TestTimerFiresOnce runs many schedulers on one database. Each timer must fire once.
func TestTimerFiresOnce(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	b.Now = time.Now()
	g, err := b.Create(t.Context(), alice, servicetest.Decode[dto.CreateRequest](t, fmt.Sprintf(
		`{"name":"x","endsAt":%q,"remindBefore":[1]}`, b.Now.Add(6*time.Second).Format(time.RFC3339Nano))))
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		s := upkeep.NewScheduler(b.Service, b.Store, slog.New(slog.DiscardHandler))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b.Read(t, g.ID).EndedAt == nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the group has not ended")
		}
	}
	// The events are announced soon after the commit.
	want := []string{"1 group.created", "2 group.reminder", "3 group.ended"}
	var got []string
	for len(got) < len(want) {
		got = append(got, b.Take()...)
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("announced %q, want %q", got, want)
		}
	}
	slices.Sort(got) // several schedulers announce, in any order
	if !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
	page, err := b.Store.Read(t.Context(), g.ID, 0, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events[1:] {
		due := g.EndsAt.Add(-time.Second)
		if e.Type == group.GroupEnded {
			due = *g.EndsAt
		}
		if late := e.At.Sub(due); late < 0 || late > 30*time.Second {
			t.Errorf("%s happened %s too late", e.Type, late)
		}
		if e.Actor != nil {
			t.Errorf("%s has actor %s", e.Type, *e.Actor)
		}
	}
}

// fireUntilQuiet fires timers like a scheduler until none are due.
func fireUntilQuiet(t *testing.T, b *servicetest.Bench) {
	t.Helper()
	for {
		due, err := b.Store.Due(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			return
		}
		var wg sync.WaitGroup
		for _, id := range due {
			for range 3 {
				wg.Go(func() {
					if err := b.FireTimer(t.Context(), id); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	}
}

// TestMissedTimersFire sets an end that is in the past for the database, as if no node had
// run at that time.
func TestMissedTimersFire(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	b.Now = time.Now().Add(-time.Hour)
	end := b.Now.Add(10 * time.Minute)
	g, err := b.Create(t.Context(), alice, dto.CreateRequest{Name: "x", EndsAt: &end, RemindBefore: []int{60, 300}})
	if err != nil {
		t.Fatal(err)
	}
	b.Now = time.Now()
	fireUntilQuiet(t, b)
	got := b.Take()
	slices.Sort(got) // several schedulers fire at once
	if want := []string{"1 group.created", "2 group.reminder", "3 group.reminder", "4 group.ended"}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
	page, err := b.Store.Read(t.Context(), g.ID, 1, 1, nil)
	if err != nil || string(page.Events[0].Data) != `{"secondsLeft":0}` {
		t.Errorf("the first reminder is %+v, %v", page.Events, err)
	}
}

func TestEndedGroups(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"x","visibility":"public","joinPolicy":"open"}`)
	b.Now = time.Now().Add(-time.Minute)
	soon := b.Now.Add(time.Second)
	if _, err := b.Update(ctx, alice, g.ID, nil, dto.UpdateRequest{EndsAt: &soon}); err != nil {
		t.Fatal(err)
	}
	fireUntilQuiet(t, b)
	b.Now = time.Now()
	if ended := b.Read(t, g.ID); ended.EndedAt == nil || ended.Revision != ended.Version {
		t.Fatalf("the group did not end: %+v", ended)
	}

	_, err := b.Join(ctx, user("new"), g.ID)
	servicetest.WantCode(t, "join", err, "group_ended")
	_, err = b.AddMembers(ctx, alice, g.ID, dto.AddMembersRequest{UserIDs: []string{"new"}})
	servicetest.WantCode(t, "add members", err, "group_ended")
	_, err = b.Post(ctx, alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
	servicetest.WantCode(t, "post", err, "group_ended")
	err = b.Signal(ctx, alice, g.ID, group.SignalSource{}, dto.SignalRequest{Type: "x"})
	servicetest.WantCode(t, "signal", err, "group_ended")
	name := "y"
	_, err = b.Update(ctx, alice, g.ID, nil, dto.UpdateRequest{Name: &name})
	servicetest.WantCode(t, "rename", err, "group_ended")
	err = b.RemoveMember(ctx, alice, g.ID, "member", false)
	servicetest.WantCode(t, "remove", err, "group_ended")

	servicetest.WantCode(t, "leave", b.Leave(ctx, user("other"), g.ID), "ok")
	_, _, err = b.Events(ctx, alice, g.ID, 0, 10)
	servicetest.WantCode(t, "read the log", err, "ok")
	later := b.Now.Add(time.Hour)
	moved, err := b.Update(ctx, alice, g.ID, nil, dto.UpdateRequest{EndsAt: &later, Name: &name})
	if err != nil || moved.EndedAt != nil || moved.Name != "y" || !moved.EndsAt.Equal(later.Truncate(time.Microsecond)) {
		t.Errorf("moved to %+v, %v", moved, err)
	}
	_, err = b.Join(ctx, user("new"), g.ID)
	servicetest.WantCode(t, "join again", err, "ok")
	servicetest.WantCode(t, "delete", b.Delete(ctx, alice, g.ID, nil), "ok")
	if due, err := b.Store.Due(ctx, 10); len(due) > 0 || err != nil {
		t.Errorf("a deleted group is due: %v, %v", due, err)
	}
}

// TestMovedEnd changes the end before it is reached. The old timers must not fire.
func TestMovedEnd(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	b.Now = time.Now().Add(-time.Hour)
	past, future := b.Now.Add(time.Minute), time.Now().Add(time.Hour)
	g, err := b.Create(t.Context(), alice, dto.CreateRequest{Name: "x", EndsAt: &past})
	if err != nil {
		t.Fatal(err)
	}
	_, moved := b.Update(t.Context(), alice, g.ID, nil, dto.UpdateRequest{EndsAt: &future})
	fireUntilQuiet(t, b)
	_, removed := b.Update(t.Context(), alice, g.ID, nil, dto.UpdateRequest{RemoveEnd: true})
	if err := errors.Join(moved, removed); err != nil {
		t.Fatal(err)
	}
	if got := b.Read(t, g.ID); got.EndsAt != nil || got.EndedAt != nil {
		t.Errorf("the group ends: %+v", got)
	}
	if got, want := b.Take(), []string{"1 group.created", "2 group.updated", "3 group.updated"}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
}
