package redispresence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestT16ReplacedServer checks that a node leaves a server that the other nodes no longer
// use, although its connections still work. Either another server has the address now, or
// the old server became a replica of it.
func TestT16ReplacedServer(t *testing.T) {
	t.Parallel()
	for name, demote := range map[string]bool{"another server": false, "a demoted master": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, next := redistest.Start(t), redistest.Start(t)
			p := proxytest.Start(t, old.Addr())
			b := startNode(t, old.URLVia(p.Addr()))
			b.apply(t, "g", "+bo")
			waittest.Until(t, "the node has checked which server that is", func() bool { return p.Accepted() > p.Links() })
			a := startNode(t, next.URL())
			a.apply(t, "g", "+ana")
			p.Redirect(next.Addr())
			if demote {
				host, port, err := net.SplitHostPort(next.Addr())
				if err != nil {
					t.Fatal(err)
				}
				if err := old.Client().ReplicaOf(t.Context(), host, port).Err(); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			waittest.Until(t, "both nodes list both users", func() bool { return a.lists(t, "g", "ana bo") && b.lists(t, "g", "ana bo") })
			t.Logf("T16: %s was left after %s", name, time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestT24FullServer checks a server without free memory (maxmemory, noeviction). Changes
// and reads must fail with unavailable, and nothing may be stored in part. When the server
// has memory again, its data must be correct.
func TestT24FullServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n, other := startNode(t, s.URL()), startNode(t, s.URL())
	n.apply(t, "g", "+ana", "+bo")
	memory := func(limit string) {
		if err := s.Client().ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	memory("1")
	if _, err := n.try(t.Context(), "g", "+cy", "-ana"); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("a change: %v", err)
	}
	if _, err := n.SetState(t.Context(), "g", "bo", json.RawMessage(`{"page":1}`)); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("a state: %v", err)
	}
	waittest.Until(t, "the node knows that nothing can be stored", func() bool {
		_, err := n.List(t.Context(), "g")
		return errors.Is(err, fault.ErrUnavailable)
	})
	passing(2 * redispresence.Lease)
	memory("0")
	waittest.Until(t, "the node takes changes again", func() bool { _, err := n.try(t.Context(), "g", "+cy", "-ana"); return err == nil })
	waittest.Until(t, "the right users are listed", func() bool { return n.lists(t, "g", "bo cy") && other.lists(t, "g", "bo cy") })
	for _, told := range news(n, other) {
		t.Errorf("reported %q, which is wrong", told)
	}
}

// TestT25ScriptsAreLoadedAgain checks that scripts are loaded again after a server lost
// them, as in a failover. No call may fail because of that.
func TestT25ScriptsAreLoadedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNodeGrace(t, s.URL(), 200*time.Millisecond)
	forget := func() {
		if err := s.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		forget()
		n.apply(t, "g", fmt.Sprint("+u", i))
		forget()
		if _, err := n.SetState(t.Context(), "g", fmt.Sprint("u", i), json.RawMessage(`{"page":1}`)); err != nil {
			t.Fatal(err)
		}
		forget()
		if present, err := n.List(t.Context(), "g"); err != nil || len(present) != i+1 {
			t.Fatal(present, err)
		}
	}
	n.apply(t, "g", "~u0")
	forget() // for the call that ends the grace
	waittest.Until(t, "the grace ends", func() bool { return len(news(n)) == 1 })
	want(t, "reported", news(n), []string{`g u0 offline dropped`})
}

// TestOneServerLacksTheScripts removes the scripts from one server of a cluster. No call
// may fail, and calls that ran on the other servers must not be repeated.
func TestOneServerLacksTheScripts(t *testing.T) {
	t.Parallel()
	const groups = 30
	c := redistest.StartCluster(t, 3)
	n := newNode(t, redisrole.Config{URL: c.URL()})
	n.grace = time.Nanosecond
	n.start(t)
	change := func(here bool) {
		t.Helper()
		changes := make([]presence.Attendance, groups)
		for g := range changes {
			changes[g] = presence.Attendance{GroupID: fmt.Sprint("g", g), UserID: "ana", Here: here}
		}
		told, err := n.Apply(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		for g, change := range told {
			if change.Status == "" {
				t.Errorf("nothing is reported in g%d", g)
			}
		}
	}
	for round := 1; round <= 5; round++ {
		for _, here := range []bool{true, false} {
			if err := c.Owner(fmt.Sprint(round)).Client().ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			change(here)
		}
		waittest.Until(t, "all graces end", func() bool { return len(news(n)) == round*groups })
	}
}

// TestT27SlowServer delays everything between node and server. A caller must wait for a
// bounded time only, and calls that take longer must fail with unavailable.
func TestT27SlowServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, s.URLVia(p.Addr()))
	n.apply(t, "g", "+ana")
	for _, late := range []time.Duration{250 * time.Millisecond, 2 * time.Second} { // in each direction
		p.Delay(late)
		slowest, answered := time.Duration(0), 0
		for tries := 1; tries <= 3 || slowest > tooLong && tries <= 9; tries++ { // retries, because a busy machine may be slow
			if tries%3 == 1 {
				slowest, answered = 0, 0
			}
			began := time.Now()
			present, err := n.List(t.Context(), "g")
			slowest = max(slowest, time.Since(began))
			switch {
			case err == nil && len(present) == 1:
				answered++
			case !errors.Is(err, fault.ErrUnavailable):
				t.Errorf("listed %v, %v", present, err)
			}
		}
		if slowest > tooLong {
			t.Errorf("with %s each way a caller waited %s", late, slowest)
		}
		t.Logf("T27: %s there and back: %d of 3 readings answered, the slowest took %s", 2*late, answered, slowest.Round(time.Millisecond))
	}
	p.Heal()
	p.Drop()
	waittest.Until(t, "the node is connected again", func() bool { return n.lists(t, "g", "ana") })
}

// TestOutageHoldsNobody checks that calls take at most a second while the server does not
// answer, and that they do not accumulate. It counts goroutines, so it does not run in
// parallel.
func TestOutageHoldsNobody(t *testing.T) {
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, s.URLVia(p.Addr()))
	n.apply(t, "g", "+ana")
	before := proxytest.Goroutines()
	p.Freeze()
	const callers = 20
	began := time.Now()
	most := proxytest.MostGoroutines(func() {
		var work sync.WaitGroup
		for range callers {
			work.Go(func() {
				for i := range 50 {
					_, _ = n.List(t.Context(), "g")
					_, _ = n.SetState(t.Context(), "g", fmt.Sprint("u", i), json.RawMessage(`{}`))
				}
			})
		}
		work.Wait()
	})
	if took := time.Since(began); took > within { // if each call waited a second, this would take 100 s
		t.Errorf("%d calls took %s", callers*100, took)
	}
	t.Logf("%d goroutines at most, %d before, with %d callers", most, before, callers)
	if most > before+4*callers {
		t.Error("too many goroutines are waiting")
	}
	p.Heal()
	waittest.Until(t, "the node is connected again", func() bool { return n.lists(t, "g", "ana") })
}
