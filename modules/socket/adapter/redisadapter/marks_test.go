package redisadapter

import (
	"testing"

	"pgregory.net/rapid"
)

// Two ways carry one sender's envelopes, each in order, either of them perhaps
// without some: what came over any of them is accepted once, whenever there are
// two and after one of them has ended.
func TestAcceptOverTwoWays(t *testing.T) {
	t.Parallel()
	one := func(string) int { return 0 }
	rapid.Check(t, func(t *rapid.T) {
		s := newInterests()
		first := s.follow(1, one)
		s.count(first)
		s.want("r")
		accepted := make(map[uint64]int)
		next := uint64(1)
		accept := func(n uint64) {
			if s.accept("r", header{1, n}) {
				accepted[n]++
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "before") { // over one way
			accept(next)
			next++
		}
		second := s.follow(1, one)
		var ways [2][]uint64
		carried := next - 1
		for range rapid.IntRange(0, 100).Draw(t, "over two") {
			sent := rapid.IntRange(1, 3).Draw(t, "ways") // a set of ways
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
		s.count(second)
		s.unfollow(first)
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
		if m := s.rooms["r"].senders[0]; m.recent != nil {
			t.Fatal("it remembers more than one way needs")
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
		t.Error("what is older than all that is remembered counts as received, what is newer does not")
	}
}

// A room is ready when the server in force has it; the other one follows.
func TestInterestsOnTwoServers(t *testing.T) {
	t.Parallel()
	one := func(string) int { return 0 }
	s := newInterests()
	first := s.follow(1, one)
	s.want("before")
	second := s.follow(1, one)
	if s.follow(1, one) != nil {
		t.Fatal("a third server was followed")
	}
	ready := s.want("during")
	if sub, _ := second.take(0, 10); len(sub) != 2 {
		t.Fatalf("the second subscribes to %v", sub)
	}
	second.confirm("before")
	second.confirm("during")
	if closed(ready) {
		t.Fatal("ready on the server that is not in force")
	}
	first.take(0, 10)
	first.confirm("during")
	if !closed(ready) {
		t.Fatal("not ready on the server in force")
	}
	pending := s.want("pending")
	second.take(0, 10)
	second.confirm("pending")
	s.count(second)
	if !closed(pending) {
		t.Fatal("not ready on the server that came into force")
	}
	s.unfollow(first)
	s.unwant("during")
	second.take(0, 10)
	second.confirm("during")
	if s.len() != 2 {
		t.Fatalf("%d rooms are remembered, want 2", s.len())
	}
	if third := s.follow(1, one); len(third.shards[0].rooms) != 2 {
		t.Fatalf("a new server is to have %d rooms", len(third.shards[0].rooms))
	}
}
