package redismove

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	f := startFleet(t, redisrole.Config{}, redistest.Patiently(one.URL()), redistest.Patiently(two.URL()))
	f.load(t)
	// This moves forward, back from each phase, and back to the first server with a second move.
	for _, phase := range []int{1, 0, 1, 2, 1, 0, 1, 2, 3, 2, 1, 2, 3, 4} {
		f.enter(t, phase)
	}
	if n := one.Client().PubSubNumPat(t.Context()).Val() + int64(len(one.Client().PubSubChannels(t.Context(), "*").Val())); n != 0 {
		t.Errorf("%d channels are left on the old server", n)
	}
	for _, m := range f.nodes {
		m.clients[0], m.clients[1] = m.clients[1], m.clients[0]
	}
	for phase := range 5 {
		f.enter(t, phase)
	}
	f.check(t)
	for _, m := range f.nodes {
		if got := m.lost.Load(); got != 0 {
			t.Errorf("%s reported %d times that it may have missed envelopes", m.id, got)
		}
		if err := m.Health(t.Context()); err != nil {
			t.Errorf("%s: %v", m.id, err)
		}
	}
}

// TestMoveWhoseTargetDies kills the new server in each phase that uses both. Nothing may be lost,
// the move must not continue, and it must be possible to revert it.
func TestMoveWhoseTargetDies(t *testing.T) {
	t.Parallel()
	for phase := 1; phase <= 3; phase++ {
		t.Run(fmt.Sprint("phase ", phase), func(t *testing.T) {
			t.Parallel()
			one, two := redistest.Start(t), redistest.Start(t)
			f := startFleet(t, redisrole.Config{}, redistest.Patiently(one.URL()), redistest.Patiently(two.URL()))
			f.load(t)
			for p := 1; p <= phase; p++ {
				f.enter(t, p)
			}
			two.Kill()
			f.goesOn(t)
			for _, m := range f.nodes {
				if phase < 3 {
					waittest.Until(t, "the warning in the log", func() bool { return m.logs.Count("cannot be reached") == 1 })
					ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
					if err := m.Enter(ctx, m.step(phase+1, true)); err == nil {
						t.Errorf("%s continues to a server that is down", m.id)
					}
					cancel()
				} else {
					waittest.Until(t, "the node reports that the server is down", func() bool { return m.Health(t.Context()) != nil })
				}
			}
			f.goesOn(t)
			for p := phase - 1; p >= 0; p-- {
				f.enter(t, p)
			}
			f.check(t)
			for _, m := range f.nodes {
				if err := m.Health(t.Context()); err != nil {
					t.Errorf("%s: %v", m.id, err)
				}
			}
		})
	}
}

// TestMoveFromAServerThatDies kills the old server. The move must continue to the new one.
func TestMoveFromAServerThatDies(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	f := startFleet(t, redisrole.Config{}, redistest.Patiently(one.URL()), redistest.Patiently(two.URL()))
	f.load(t)
	f.enter(t, 1)
	f.enter(t, 2)
	f.arrived(t) // the envelopes that went only over the old server
	one.Kill()
	f.goesOn(t)
	f.enter(t, 3)
	f.enter(t, 4)
	f.check(t)
	for _, m := range f.nodes {
		waittest.Until(t, "the node reports that it may have missed envelopes", func() bool { return m.lost.Load() > 0 })
		if err := m.Health(t.Context()); err != nil {
			t.Errorf("%s: %v", m.id, err)
		}
	}
}

// TestMoveToACluster moves between servers with different numbers of shards and different
// channels.
func TestMoveToACluster(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.StartCluster(t, 3)
	f := startFleet(t, redisrole.Config{SocketHMAC: strings.Repeat("k", 32)}, redistest.Patiently(one.URL()), redistest.Patiently(two.URL()))
	f.load(t)
	for _, phase := range []int{1, 2, 3, 2, 3, 4} {
		f.enter(t, phase)
	}
	f.check(t)
}

// TestWhoComesLateIsTold makes a node enter only the last phase of a move, as if it was paused
// before. It must report that it may have missed envelopes.
func TestWhoComesLateIsTold(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	f := startFleet(t, redisrole.Config{}, redistest.Patiently(one.URL()), redistest.Patiently(two.URL()))
	m := f.nodes[0]
	if err := m.Enter(t.Context(), m.step(4, true)); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the node reports that it may have missed envelopes", func() bool { return m.lost.Load() == 1 })
	for i := range fleetRooms {
		waittest.Receive(t, "the interest on the new server", m.Subscribe(fmt.Sprint("r", i)))
	}
}
