package redisadapter_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestT13Blackhole keeps the connections open but delivers nothing on them.
func TestT13Blackhole(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(url string) redisrole.Config{
		"shared":    func(url string) redisrole.Config { return redisrole.Config{URL: url} },
		"dedicated": func(url string) redisrole.Config { return redisrole.Config{SocketURL: url, GroupURL: url} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			p := proxytest.Start(t, s.Addr())
			a, b := startNode(t, config(s.URL())), startNode(t, config(s.URLVia(p.Addr())))
			b.join(t, "r")
			flow(t, a, b, "r")
			p.Freeze()
			began := time.Now()
			err := b.Publish(t.Context(), adapter.Envelope{Room: "r"})
			if took := time.Since(began); err == nil || took > within {
				t.Errorf("a publish into a frozen link took %s: %v", took, err)
			}
			began = time.Now()
			for range 100 {
				_ = b.Publish(t.Context(), adapter.Envelope{Room: "r"})
			}
			if took := time.Since(began); took > within { // 200 s, if each call waited
				t.Errorf("the next 100 publishes took %s", took)
			}
			waittest.Until(t, "the subscription is given up", func() bool {
				err := b.Health(t.Context())
				return err != nil && (strings.Contains(err.Error(), "does not arrive") || strings.Contains(err.Error(), "redisadapter: connect: "))
			})
			if n := b.logs.Count("cannot be reached"); n != 1 {
				t.Errorf("logged %d times, want once", n)
			}
			p.Drop() // the held bytes never arrive
			p.Heal()
			waittest.Until(t, "lost is called", func() bool { return b.lost.Load() > 0 })
			flow(t, a, b, "r")
		})
	}
}

// TestOutageHoldsNobody checks that Publish takes at most two seconds while the connections
// deliver nothing, and that calls do not accumulate. It is not parallel, because it counts
// goroutines.
func TestOutageHoldsNobody(t *testing.T) {
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	n.join(t, "r")
	n.publish(t, "r", "e")
	before := proxytest.Goroutines()
	p.Freeze()
	const callers = 50
	began := time.Now()
	most := proxytest.MostGoroutines(func() {
		var work sync.WaitGroup
		for range callers {
			work.Go(func() {
				for range 20 {
					_ = n.Publish(t.Context(), adapter.Envelope{Room: "r"})
					_ = n.Health(t.Context())
				}
			})
		}
		work.Wait()
	})
	if took := time.Since(began); took > within { // 40 s, if each call waited
		t.Errorf("%d publishes took %s", callers*20, took)
	}
	t.Logf("%d goroutines at most, %d before, with %d callers", most, before, callers)
	if most > before+2*callers {
		t.Error("goroutines pile up")
	}
	if s := n.Stats(); s.Failed < callers*20-1 || s.Queued > 0 {
		t.Errorf("counted %+v", s)
	}
	p.Drop()
	p.Heal()
	waittest.Until(t, "it is back", func() bool { return n.Publish(t.Context(), adapter.Envelope{Room: "r"}) == nil })
}

// TestT13HalfOpen breaks one direction of the connections, or closes only the server's end. The
// probe must detect both. In the second case, new connections work.
func TestT13HalfOpen(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*proxytest.Proxy){
		"half open": (*proxytest.Proxy).Strand,
		"deaf":      func(p *proxytest.Proxy) { p.Lose(proxytest.ToClient) },
		"mute":      func(p *proxytest.Proxy) { p.Lose(proxytest.ToServer) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			p := proxytest.Start(t, s.Addr())
			a, b := startNode(t, redisrole.Config{URL: s.URL()}), startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
			b.join(t, "r")
			flow(t, a, b, "r")
			began := time.Now()
			hurt(p)
			if name == "half open" {
				waittest.Until(t, "lost is called", func() bool { return b.lost.Load() > 0 })
				flow(t, a, b, "r")
			} else {
				waittest.Until(t, "it is noticed", func() bool { return b.logs.Count("cannot be reached") > 0 })
				// The publishing connection may detect it first, when the other one has lost
				// nothing yet.
				waittest.Until(t, "the subscribing connection is given up", b.Missed)
			}
			t.Logf("T13: %s: after %s, with probes every 100 ms", name, time.Since(began).Round(time.Millisecond))
			p.Heal()
			waittest.Until(t, "lost is called", func() bool { return b.lost.Load() > 0 })
			flow(t, a, b, "r")
			flow(t, b, a, join(t, a, "back"))
			waittest.Until(t, "it is healthy", func() bool { return b.Health(t.Context()) == nil })
			if down, up := b.logs.Count("cannot be reached"), b.logs.Count("reached again"); down != 1 || up != 1 {
				t.Errorf("logged %d times that the server is down and %d times that it is up again, want once each", down, up)
			}
		})
	}
}
