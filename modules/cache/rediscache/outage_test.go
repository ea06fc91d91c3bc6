package rediscache_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/rediscache"
	"github.com/moim-live/moim/modules/redisrole"
)

// once checks that the log says once that the server went down and once that it is up again.
func (h hurried) once(t *testing.T) {
	t.Helper()
	if gone, back := h.logs.Count("level=WARN"), h.logs.Count("answers again"); gone != 1 || back != 1 {
		t.Errorf("logged %d times that the server is down and %d times that it is up again, want once each:\n%s", gone, back, h.logs)
	}
}

// hurried is a started cache that probes often.
type hurried struct {
	*cache.Cache

	tier *rediscache.Tier
	logs *childtest.Log
}

func hurry(t *testing.T, config redisrole.Config, name string) hurried {
	t.Helper()
	return hurryAs(t, config, name, func(*rediscache.Tier) {})
}

func hurryAs(t *testing.T, config redisrole.Config, name string, with func(*rediscache.Tier)) hurried {
	t.Helper()
	h := hurried{logs: &childtest.Log{}}
	h.tier = rediscache.New(clients(t, config, name, nil), slog.New(slog.NewTextHandler(h.logs, nil))).Hurry()
	with(h.tier)
	h.Cache = newCache(t, cache.Config{}, h.tier)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return h
}

// drops waits until an entry of the local tier is not returned any more.
func (h hurried) drops(t *testing.T, key string) time.Duration {
	t.Helper()
	began := time.Now()
	waittest.Until(t, "entries that may have been invalidated are dropped", func() bool {
		_, err := h.Get(t.Context(), key, 0, none)
		return err != nil
	})
	return time.Since(began)
}

// hears waits until an invalidation from another node arrives.
func (h hurried) hears(t *testing.T, from *cache.Cache) {
	t.Helper()
	waittest.Until(t, "invalidations are heard", func() bool {
		key := fmt.Sprint("heard", time.Now().UnixNano())
		get(t, h.Cache, key, 0, load(1))
		from.Invalidate(t.Context(), key, 2)
		for range 20 {
			if _, err := h.Get(t.Context(), key, 0, none); err != nil {
				return true
			}
			<-time.After(5 * time.Millisecond)
		}
		return false
	})
}

// TestT13Blackhole keeps the connection open but delivers nothing on it. The tier must close the
// subscription and drop entries that may have been invalidated meanwhile, even if no call uses
// the server.
func TestT13Blackhole(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*proxytest.Proxy){
		"frozen":                    (*proxytest.Proxy).Freeze,
		"half open":                 (*proxytest.Proxy).Strand,
		"deaf":                      func(p *proxytest.Proxy) { p.Lose(proxytest.ToClient) },
		"what is sent does not get": func(p *proxytest.Proxy) { p.Lose(proxytest.ToServer) },
	} {
		for kind, config := range map[string]func(url string) redisrole.Config{
			"shared":    func(url string) redisrole.Config { return redisrole.Config{URL: url} },
			"dedicated": func(url string) redisrole.Config { return redisrole.Config{CacheURL: url} },
		} {
			if kind == "dedicated" && name != "frozen" {
				continue
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t)
				p := proxytest.Start(t, server.Addr())
				a, _ := node(t, server.URL(), "n1")
				b := hurry(t, config(server.URLVia(p.Addr())), "n2")
				subscribed(t, server, 2)
				b.hears(t, a)
				get(t, b.Cache, "a", 0, load(1))
				get(t, b.Cache, "a", 0, none)
				hurt(p)
				a.Invalidate(t.Context(), "a", 2) // b does not receive it
				b.drops(t, "a")
				if name != "half open" { // when half open, new connections work
					waittest.Until(t, "its health says so", func() bool { return b.tier.Health(t.Context()) != nil })
				}
				p.Heal()
				b.hears(t, a)
				waittest.Until(t, "its health says so", func() bool { return b.tier.Health(t.Context()) == nil })
				if b.tier.Stats().Reconnects == 0 {
					t.Error("the lost subscription was not counted")
				}
				waittest.Until(t, "it is logged that it is back", func() bool { return b.logs.Count("answers again") > 0 })
				b.once(t)
			})
		}
	}
}

// TestT15SubscriptionOnTheOldMaster keeps the subscription on a server to which no node
// publishes, such as an old master that still runs after a failover.
func TestT15SubscriptionOnTheOldMaster(t *testing.T) {
	t.Parallel()
	const tries = 3
	for range tries { // on a busy machine, a probe may be late, or another check may detect it first
		if probeFindsTheOldMaster(t) {
			return
		}
	}
	t.Errorf("%d times the probe did not detect it, or more was logged", tries)
}

func probeFindsTheOldMaster(t *testing.T) bool {
	t.Helper()
	old, next := redistest.Start(t), redistest.Start(t)
	p := proxytest.Start(t, old.Addr())
	b := hurryAs(t, redisrole.Config{URL: old.URLVia(p.Addr())}, "n2", func(tier *rediscache.Tier) { tier.ProbeWithin(1500 * time.Millisecond) })
	subscribed(t, old, 1)
	get(t, b.Cache, "a", 0, load(1))
	p.Redirect(next.Addr())
	if err := old.Client().ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	b.drops(t, "a")
	subscribed(t, next, 1)
	a, _ := node(t, next.URL(), "n1")
	b.hears(t, a)
	return b.logs.Count("do not arrive") == 1 && b.logs.Count("level=WARN") == 1 && b.logs.Count("answers again") == 1
}

// TestT16ReplacedServer keeps every connection on a server that stays up, while the other nodes
// use another one. So the probes still return. In one case, the address leads to another server
// with another run id. In the other case, the server was made a replica of a server that it
// cannot reach, so it receives nothing from there.
func TestT16ReplacedServer(t *testing.T) {
	t.Parallel()
	for name, demote := range map[string]bool{"another server": false, "a demoted master": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, next := redistest.Start(t), redistest.Start(t)
			p := proxytest.Start(t, old.Addr())
			seen := old.Monitor()
			b := hurry(t, redisrole.Config{URL: old.URLVia(p.Addr())}, "n2")
			subscribed(t, old, 1)
			get(t, b.Cache, "a", 0, load(1))
			waittest.Until(t, "the node has read the server's run id", func() bool {
				return slices.ContainsFunc(seen.Commands(), func(c redistest.Command) bool { return c.Is("info") })
			})
			if demote {
				host, port, err := net.SplitHostPort(proxytest.Start(t, "127.0.0.1:1").Addr())
				if err != nil {
					t.Fatal(err)
				}
				if err := old.Client().ReplicaOf(t.Context(), host, port).Err(); err != nil {
					t.Fatal(err)
				}
			}
			p.Redirect(next.Addr())
			took := b.drops(t, "a")
			subscribed(t, next, 1)
			t.Logf("T16: %s was left after %s", name, took.Round(time.Millisecond))
			a, _ := node(t, next.URL(), "n1")
			b.hears(t, a)
			get(t, b.Cache, "new", 0, load(1)) // it writes to the server that the others read
			get(t, a, "new", 0, none)
			b.once(t)
		})
	}
}

// TestSubscriptionIsResetAgainAndAgain cuts a node off again and again. Connections, goroutines
// and subscriptions must not accumulate, and the log must only say that the server went down and
// is up again.
func TestSubscriptionIsResetAgainAndAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := proxytest.Start(t, server.Addr())
	a, _ := node(t, server.URL(), "n1")
	b := hurry(t, redisrole.Config{URL: server.URLVia(p.Addr())}, "n2")
	subscribed(t, server, 2)
	for i := range int64(10) {
		p.Drop()
		waittest.Until(t, "it is connected again", func() bool { return b.tier.Stats().Reconnects > i })
		b.hears(t, a)
	}
	subscribed(t, server, 2)
	if gone, back := b.logs.Count("level=WARN"), b.logs.Count("answers again"); gone != back || gone > 15 { // a busy machine may add some
		t.Errorf("logged %d times that the server is down and %d times that it is up again", gone, back)
	}
	if n := p.Links(); n > 6 {
		t.Errorf("%d connections are left", n)
	}
}

// TestProbesOfOthers checks that messages of other clients on a node's own channel change
// nothing.
func TestProbesOfOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := proxytest.Start(t, server.Addr())
	a, _ := node(t, server.URL(), "n1")
	b := hurry(t, redisrole.Config{URL: server.URLVia(p.Addr())}, "n2")
	subscribed(t, server, 2)
	for _, payload := range []string{"", "x", "-1", "18446744073709551615", strings.Repeat("9", 1000)} {
		if err := server.Client().Publish(t.Context(), b.tier.ProbeChannel(), payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b.hears(t, a)
	if s := b.tier.Stats(); s.Garbage != 0 || s.Reconnects != 0 {
		t.Errorf("counted %+v", s)
	}
	get(t, b.Cache, "a", 0, load(1))
	server.Client().Del(t.Context(), "moim:cache:a")
	p.Lose(proxytest.ToClient)
	b.drops(t, "a") // nor does a message that looks like a later probe
}

// TestOutageHoldsNobody checks that calls are answered from the database while the connections
// deliver nothing, and that calls do not accumulate. It is not parallel, because it counts
// goroutines.
func TestOutageHoldsNobody(t *testing.T) {
	server := redistest.Start(t)
	p := proxytest.Start(t, server.Addr())
	h := hurry(t, redisrole.Config{URL: server.URLVia(p.Addr())}, "n1")
	subscribed(t, server, 1)
	get(t, h.Cache, "a", 0, load(1))
	before := proxytest.Goroutines()
	p.Freeze()
	const callers = 20
	began := time.Now()
	most := proxytest.MostGoroutines(func() {
		var work sync.WaitGroup
		for c := range callers {
			work.Go(func() {
				for i := range 50 {
					key := fmt.Sprint(c, "-", i)
					_, _ = h.Get(t.Context(), key, 0, load(1))
					h.Invalidate(t.Context(), key, 2)
				}
			})
		}
		work.Wait()
	})
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("%d changes took %s", callers*50, took)
	}
	t.Logf("%d goroutines at most, %d before, with %d callers", most, before, callers)
	if most > before+4*callers {
		t.Error("goroutines pile up")
	}
	if s := h.tier.Stats(); s.Errors == 0 || s.Skipped < callers*50 {
		t.Errorf("counted %+v", s)
	}
}
