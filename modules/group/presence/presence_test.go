package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

func TestPresenceTellsOnceAMemberAndOnceAWindow(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
		for range 3 { // three tabs
			p.Subscribed("g", "ana")
		}
		p.Subscribed("g", "bo")
		p.Subscribed("h", "bo")
		after(190 * time.Millisecond)
		want(t, "pushed within the window", out.take(), nil)
		after(20 * time.Millisecond)
		want(t, "pushed", out.take(), []string{"g: ana online bo online", "h: bo online"})
		p.Unsubscribed("g", "ana", "left")
		p.Unsubscribed("g", "ana", "left")
		after(time.Second)
		want(t, "pushed while a tab is left", out.take(), nil)
		p.Unsubscribed("g", "ana", "left")
		after(time.Second)
		want(t, "pushed", out.take(), []string{"g: ana offline left"})
		want(t, "stored", store.users("g"), []string{"bo"})
	})
}

// TestPresenceOfALargeGroup checks that a large group that keeps changing gets pushes less
// often. States are not delayed, and neither is a change after a quiet period.
func TestPresenceOfALargeGroup(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
		const window = 200 * time.Millisecond
		come := func(user string) { p.Subscribed("g", user) }
		for i := range 3*membersAWindow + 1 {
			come(fmt.Sprintf("member%03d", i))
		}
		after(window)
		if sent := out.take(); len(sent) != 1 {
			t.Fatalf("the users were reported in %d messages", len(sent))
		}
		come("ana")
		after(window)
		want(t, "at once", out.take(), nil)
		p.Unsubscribed("g", "ana", "")
		come("bo")
		after(window)
		want(t, "a window later", out.take(), nil)
		come("cleo")
		after(window)
		want(t, "after three windows", out.take(), []string{"g: ana reconnecting dropped bo online cleo online"})
		come("dan")
		after(window)
		if err := p.SetState(t.Context(), "g", "bo", json.RawMessage(`{"hand":"up"}`)); err != nil {
			t.Fatal(err)
		}
		after(window)
		want(t, "a state", out.take(), []string{`g: bo online {"hand":"up"} dan online`})
		after(10 * window)
		come("eve")
		after(window)
		want(t, "after a quiet moment", out.take(), []string{"g: eve online"})
		come("fay")
		after(window)
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sent := out.take(); len(sent) != 1 || !strings.Contains(sent[0], "fay reconnecting drained") {
			t.Errorf("the last changes were reported in %d messages: %.100q", len(sent), sent)
		}
	})
}

func TestPresenceSaysNothingOfAReload(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
		p.Subscribed("g", "ana")
		after(time.Second)
		out.take()
		for range 10 {
			p.Unsubscribed("g", "ana", "")
			after(10 * time.Millisecond)
			p.Subscribed("g", "ana")
		}
		after(time.Second)
		want(t, "pushed", out.take(), nil)
		want(t, "stored", store.users("g"), []string{"ana"})
	})
}

// TestPresenceChangesWhileTheStoreWorks has a user who returns and leaves again while the
// store still writes that they left.
func TestPresenceChangesWhileTheStoreWorks(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
		p.Subscribed("g", "ana")
		after(time.Second)
		store.mu.Lock()
		store.entered = make(chan struct{})
		store.mu.Unlock()
		p.Unsubscribed("g", "ana", "")
		<-store.entered
		p.Subscribed("g", "ana")
		p.Unsubscribed("g", "ana", "")
		entered := store.entered
		store.mu.Lock()
		store.entered = nil
		store.mu.Unlock()
		entered <- struct{}{}
		after(time.Second)
		want(t, "stored", store.users("g"), nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.groups)+len(p.dirty) != 0 {
			t.Errorf("the tracker keeps %v and %v although no user is left", p.groups, p.dirty)
		}
	})
}

// TestPresenceForgetsNobodyWhomTheStoreMayHave has a user who leaves while the store writes
// that they came. The write fails, so the store may have the user or not.
func TestPresenceForgetsNobodyWhomTheStoreMayHave(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, _ *pushes) {
		entered := make(chan struct{})
		store.fail(fault.ErrUnavailable, true)
		store.mu.Lock()
		store.entered = entered
		store.mu.Unlock()
		p.Subscribed("g", "ana")
		<-entered
		p.Unsubscribed("g", "ana", "")
		store.mu.Lock()
		store.entered = nil
		store.mu.Unlock()
		store.fail(nil, false)
		entered <- struct{}{}
		after(5 * time.Second)
		want(t, "stored", store.users("g"), nil)
	})
}

func TestPresenceWaitsForTheStore(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprintf("done=%t", lose), func(t *testing.T) {
			t.Parallel()
			watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
				p.Subscribed("g", "bo")
				after(time.Second)
				out.take()
				store.fail(fault.ErrUnavailable, lose)
				p.Subscribed("g", "ana")
				p.Subscribed("g", "eve")
				p.Unsubscribed("g", "bo", "")
				after(time.Second)
				p.Unsubscribed("g", "eve", "") // eve came and left during the outage
				after(10 * time.Second)
				want(t, "pushed during the outage", out.take(), nil)
				if store.applied > 20 {
					t.Errorf("the store was called %d times in 11 s", store.applied)
				}
				store.fail(nil, false)
				after(5 * time.Second)
				sent := out.take()
				if len(sent) != 1 || sent[0] != "g: ana online bo reconnecting dropped" && sent[0] != "g: ana online bo reconnecting dropped eve reconnecting dropped" {
					t.Errorf("pushed after the outage: %q", sent)
				}
				want(t, "stored", store.users("g"), []string{"ana"})
			})
		})
	}
}

func TestPresenceTellsOfOtherNodes(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
		lost := func(users ...string) {
			var changes []group.PresenceChange
			for _, user := range users {
				changes = append(changes, group.PresenceChange{UserID: user, Status: group.StatusReconnecting, Reason: group.ReasonNodeLost, At: time.Now().UTC()})
			}
			store.tell("g", changes)
		}
		lost("ana", "bo")
		p.Subscribed("g", "bo") // bo moves here from the dead node
		after(time.Second)
		want(t, "pushed", out.take(), []string{"g: ana reconnecting node_lost bo online"})
		store.tell("g", []group.PresenceChange{{UserID: "ana", Status: group.StatusOnline, At: time.Now().UTC()}})
		store.tell("g", []group.PresenceChange{{UserID: "ana", Status: group.StatusOffline, At: time.Now().UTC().Add(-time.Millisecond)}})
		after(time.Second)
		want(t, "pushed", out.take(), []string{"g: ana online"})
	})
}

func TestPresenceIsPushedInParts(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
		const users = 900
		told := " " + strings.Repeat("u", 120)
		for i := range users {
			p.Subscribed("g", fmt.Sprintf("%s%05d", told[1:], i))
		}
		after(p.window + p.window/10)
		if got := out.take(); len(got) != 1 {
			t.Errorf("%d pushes in the first window", len(got))
		}
		first := out.bytes.Load()
		after(time.Second)
		got := strings.Join(out.take(), "")
		if n := strings.Count(got, told); n == 0 || out.bytes.Load()-first < maxPush || int(out.bytes.Load()) < users*len(told) {
			t.Errorf("%d users in %d bytes were pushed after the first %d bytes", n, out.bytes.Load()-first, first)
		}
		if last := fmt.Sprintf("%s%05d", told, users-1); !strings.Contains(got, last) {
			t.Error("the last user is not reported")
		}
	})
}

// TestLargeGroupsAreToldCounts checks that subscribers of a large group get the number of
// online users, even while all users reconnect.
func TestLargeGroupsAreToldCounts(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
		const users = 10_000
		each := func(wave int, do func(user string)) {
			for i := range users {
				if do(fmt.Sprintf("u%05d", i)); i%wave == wave-1 {
					after(p.window)
				}
			}
			after(3 * time.Second)
		}
		each(users, func(user string) { p.Subscribed("g", user) })
		if got := out.take(); !slices.Equal(got, []string{"g: 10000"}) {
			t.Errorf("%d pushes: %.100q", len(got), got)
		}
		out.bytes.Store(0)
		each(500, func(user string) { p.Unsubscribed("g", user, group.EndDropped) })
		each(500, func(user string) { p.Subscribed("g", user) })
		if got := out.take(); got[0] != "g: 0" || !slices.Contains(got, "g: 10000") || out.bytes.Load() > 2_000 {
			t.Errorf("%d pushes with %d bytes: %.100q", len(got), out.bytes.Load(), got)
		}
		each(users-5, func(user string) {
			if user >= "u00005" {
				p.Unsubscribed("g", user, group.EndLeft)
			}
		})
		after(2 * stayLarge)
		out.take()
		p.Unsubscribed("g", "u00001", group.EndLeft)
		after(time.Second)
		want(t, "pushed in a group that is small again", out.take(), []string{"g: u00001 offline left"})
	})
}

// TestPresenceCountsInAnyOrder checks that the end of a subscription can be reported before
// its beginning.
func TestPresenceCountsInAnyOrder(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, out *pushes) {
		p.Unsubscribed("g", "ana", "removed")
		after(time.Second)
		p.Subscribed("g", "ana")
		after(time.Second)
		want(t, "pushed", out.take(), nil)
		want(t, "stored", store.users("g"), nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.groups) != 0 {
			t.Errorf("the tracker keeps %v although no user is left", p.groups)
		}
	})
}

func TestPresenceLeavesWithItsNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, out := newAttendances(), &pushes{}
		p := New(group.Config{}, store, out, slog.New(slog.DiscardHandler))
		if err := p.Stop(context.Background()); err != nil {
			t.Error("stop before start:", err)
		}
		p = New(group.Config{}, store, out, slog.New(slog.DiscardHandler))
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Subscribed("g", "ana")
		after(time.Second)
		out.take()
		for range 2 {
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		want(t, "pushed at the end", out.take(), []string{"g: ana reconnecting drained"})
		want(t, "stored", store.users("g"), nil)
	})
}

func TestPresenceListsThisNodesUsersAtOnce(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, store *attendances, _ *pushes) {
		if _, err := store.Memory.Apply(t.Context(), []Attendance{{GroupID: "g", UserID: "far", Here: true}, {GroupID: "g", UserID: "ana", Here: true}}); err != nil {
			t.Fatal(err)
		}
		p.Subscribed("g", "bo")
		p.Subscribed("g", "ana")
		got, err := p.List(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].AsOf = time.Time{}
		}
		want(t, "present", got, []group.Present{{UserID: "ana", Status: "online"}, {UserID: "bo", Status: "online"}, {UserID: "far", Status: "online"}})
	})
}

// TestPresenceStandsAStorm checks that tens of thousands of changes do not block on the
// store, and that the store ends with the right users.
func TestPresenceStandsAStorm(t *testing.T) {
	t.Parallel()
	store, out := newAttendances(), &pushes{}
	p := New(group.Config{PresenceWindow: time.Millisecond}, store, out, slog.New(slog.DiscardHandler))
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 10_000 {
				v := fmt.Sprint("u", i%50)
				groupID := fmt.Sprint("g", w)
				p.Subscribed(groupID, v)
				if i%200 >= 50 { // users of the first 50 of each 200 steps stay
					p.Unsubscribed(groupID, v, "")
				}
			}
			for i := range 50 * 50 {
				if user := i % 50; user%2 == 0 {
					p.Unsubscribed(fmt.Sprint("g", w), fmt.Sprint("u", user), "")
				}
			}
		})
	}
	all.Wait()
	expected := make(map[string]bool)
	for i := 1; i < 50; i += 2 {
		expected[fmt.Sprint("u", i)] = true
	}
	for w := range 8 {
		groupID := fmt.Sprint("g", w)
		deadline := time.After(30 * time.Second)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !slices.Equal(store.users(groupID), slices.Sorted(maps.Keys(expected))) {
			select {
			case <-deadline:
				t.Fatalf("the store has in %s: %v", groupID, store.users(groupID))
			case <-tick.C:
			}
		}
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}
