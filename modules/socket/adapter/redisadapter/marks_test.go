package redisadapter

import (
	"testing"

	"pgregory.net/rapid"
)

// TestAcceptOverTwoWays sends one sender's envelopes over two servers. Each keeps the order and
// may lose some. Each envelope must be accepted once, while both servers are used and after one
// is no longer used.
func TestAcceptOverTwoWays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := marks{rooms: make(map[string][]mark)}
		m.ways.Store(1)
		accepted := make(map[uint64]int)
		next := uint64(1)
		accept := func(n uint64) {
			if m.accept("r", header{1, n}) {
				accepted[n]++
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "before") { // over one server
			accept(next)
			next++
		}
		m.ways.Store(2)
		var ways [2][]uint64
		carried := next - 1
		for range rapid.IntRange(0, 100).Draw(t, "over two") {
			sent := rapid.IntRange(1, 3).Draw(t, "ways") // a bit set of the servers
			for i := range ways {
				if sent&(1<<i) != 0 {
					ways[i] = append(ways[i], next)
				}
			}
			next++
			carried++
		}
		for len(ways[0]) > 0 {
			i := rapid.IntRange(0, 1).Draw(t, "way")
			if len(ways[i]) == 0 {
				i = 1 - i
			}
			accept(ways[i][0])
			ways[i] = ways[i][1:]
		}
		m.ways.Store(1)
		for _, n := range ways[1] {
			accept(n)
		}
		for range 3 {
			accept(next)
			accept(next)
			next++
			carried++
		}
		for n := uint64(1); n <= carried; n++ {
			if accepted[n] != 1 {
				t.Fatalf("%d was accepted %d times", n, accepted[n])
			}
		}
		if got := m.rooms["r"][0]; got.recent != nil {
			t.Fatal("it stores more than one server needs")
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	r := recent{}
	for n := uint64(1); n <= 10*maxRecent; n++ {
		if !r.add(2*n) || r.add(2*n) {
			t.Fatalf("%d: not accepted once", n)
		}
	}
	if len(r.numbers) != maxRecent {
		t.Fatalf("%d numbers are remembered", len(r.numbers))
	}
	if r.add(3) || !r.add(20*maxRecent-1) {
		t.Error("a number older than all stored ones must count as received, and a newer one must not")
	}
}
