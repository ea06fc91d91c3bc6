package adaptertest_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// TestFaulty checks that the share of envelopes with each fault matches the rates, and that the
// counts match the envelopes that arrive.
func TestFaulty(t *testing.T) {
	t.Parallel()
	const total = 4000
	mesh := adapter.NewMesh()
	from := adaptertest.NewFaulty(mesh.Adapter(), 7, adaptertest.Rates{Drop: 0.05, Double: 0.05, Delay: 0.05, Reorder: 0.05, MaxDelay: 5 * time.Millisecond})
	to := mesh.Adapter()
	var mu sync.Mutex
	var order []int
	times := make(map[int]int)
	received := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(order)
	}
	sink := func(env adapter.Envelope) {
		n, _ := strconv.Atoi(env.Event)
		mu.Lock()
		defer mu.Unlock()
		order = append(order, n)
		times[n]++
	}
	if err := to.Start(t.Context(), sink, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := from.Start(t.Context(), func(adapter.Envelope) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	to.Subscribe("room")
	for n := range total {
		if err := from.Publish(t.Context(), adapter.Envelope{Room: "room", Event: strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
	}
	c := from.Counts()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); received() < total-c.Dropped+c.Doubled; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d envelopes arrived of %s", received(), c)
		}
	}
	for _, a := range []adapter.Adapter{from, to} {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}

	t.Log(c)
	missing, twice, back := 0, 0, 0
	for n := range total {
		switch times[n] {
		case 0:
			missing++
		case 2:
			twice++
		}
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			back++
		}
	}
	if missing != c.Dropped || twice != c.Doubled || back == 0 || back > c.Delayed+c.Reordered {
		t.Errorf("%d are missing, %d arrived twice, %d arrived late; the counts are %s", missing, twice, back, c)
	}
	for name, n := range map[string]int{"dropped": c.Dropped, "doubled": c.Doubled, "delayed": c.Delayed, "reordered": c.Reordered} {
		if n < total/40 || n > total/10 { // 5 % are 200 envelopes
			t.Errorf("%d of %d were %s", n, total, name)
		}
	}
}
