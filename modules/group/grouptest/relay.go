package grouptest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testRelay(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	for n := range 4 {
		change(t, s, g.ID, post(ctx, n)) // up to version 5
	}
	relay := func(age time.Duration, limit int, fail ...int64) (published []int64, tried int) {
		t.Helper()
		tried, err := s.Relay(ctx, age, limit, func(e group.Event) error {
			if slices.Contains(fail, e.Version) {
				return errors.New("not published")
			}
			published = append(published, e.Version)
			if e.GroupID != g.ID || e.Type == "" || len(e.Data) == 0 || e.At.IsZero() {
				t.Errorf("relayed %+v", e)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("relay: %v", err)
		}
		return published, tried - len(fail)
	}
	check := func(what string, got []int64, accepted int, want ...int64) {
		t.Helper()
		slices.Sort(got)
		same(t, what, got, want)
		if accepted != len(want) {
			t.Errorf("%s: relayed %d events, want %d", what, accepted, len(want))
		}
	}
	got, n := relay(time.Hour, 10)
	check("nothing is an hour old", got, n)

	if err := s.Published(ctx, []group.Ref{{GroupID: g.ID, Version: 2}, {GroupID: g.ID, Version: 99}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Published(ctx, nil); err != nil {
		t.Fatal(err)
	}
	got, n = relay(-time.Hour, 2)
	check("the oldest two that are not published", got, n, 1, 3)
	got, n = relay(-time.Hour, 10, 4)
	check("4 is refused", got, n, 5)
	got, n = relay(-time.Hour, 10)
	check("4 is still there", got, n, 4)
	got, n = relay(-time.Hour, 10)
	check("nothing is left", got, n)

	many := make([]group.Ref, 0, 345)
	for i := range cap(many) {
		many = append(many, group.Ref{GroupID: change(t, s, g.ID, post(ctx, i))[0].GroupID, Version: int64(6 + i)})
	}
	if err := s.Published(ctx, many[:344]); err != nil {
		t.Fatal(err)
	}
	got, n = relay(-time.Hour, 1000)
	check("all but one were marked", got, n, 350)
}

// testRelayGoesOn has more events that cannot be published than one call of Relay takes.
// The events behind them must be published, and the failing ones must be retried.
func testRelayGoesOn(t *testing.T, s Store) {
	const limit = 3
	ctx, stuck := t.Context(), create(t, s)
	for n := range 2 * limit {
		change(t, s, stuck.ID, post(ctx, n))
	}
	fine := create(t, s)
	change(t, s, fine.ID, post(ctx, 1))
	tried := make(map[group.Ref]int)
	relay := func(mended bool) {
		t.Helper()
		_, err := s.Relay(ctx, -time.Hour, limit, func(e group.Event) error {
			tried[group.Ref{GroupID: e.GroupID, Version: e.Version}]++
			if e.GroupID == stuck.ID && !mended {
				return errors.New("not published")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		relay(false)
	}
	for version := int64(1); version <= 2; version++ {
		if n := tried[group.Ref{GroupID: fine.ID, Version: version}]; n != 1 {
			t.Errorf("event %d is behind events that cannot be published, and was tried %d times", version, n)
		}
	}
	for version := int64(1); version <= 2*limit+1; version++ {
		if n := tried[group.Ref{GroupID: stuck.ID, Version: version}]; n < 2 {
			t.Errorf("event %d, which cannot be published, was tried %d times", version, n)
		}
	}
	for range 4 {
		relay(true)
	}
	clear(tried)
	for range 4 {
		relay(true)
	}
	if len(tried) > 0 {
		t.Errorf("published events are tried again: %v", tried)
	}
}

// testRelays runs several relays concurrently. No event may be published twice or missed.
func testRelays(t *testing.T, s Store) {
	const events, relays = 60, 4
	ctx, g := t.Context(), create(t, s)
	for n := range events - 1 {
		change(t, s, g.ID, post(ctx, n))
	}
	var (
		all       sync.WaitGroup
		mu        sync.Mutex
		published = make(map[int64]int)
		marked    int
	)
	for range relays {
		all.Go(func() {
			for {
				n, err := s.Relay(ctx, -time.Hour, 7, func(e group.Event) error {
					mu.Lock()
					defer mu.Unlock()
					published[e.Version]++
					return nil
				})
				if err != nil {
					t.Errorf("relay: %v", err)
					return
				}
				mu.Lock()
				marked += n
				enough := n == 0 && len(published) == events
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	all.Wait()
	if marked != events {
		t.Errorf("%d events marked, want %d", marked, events)
	}
	for version, n := range published {
		if n != 1 {
			t.Errorf("event %d was published %d times", version, n)
		}
	}
}
