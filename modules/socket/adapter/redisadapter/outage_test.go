package redisadapter_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// flow waits until an envelope of one node reaches another.
func flow(t *testing.T, from, to *node, room string) {
	t.Helper()
	waittest.Until(t, "envelopes flow", func() bool {
		if err := from.Publish(t.Context(), adapter.Envelope{Room: room, Event: "flow"}); err != nil {
			return false
		}
		select {
		case <-to.received:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
}

func TestServerDiesAndComesBack(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(url string) redisrole.Config{
		"shared":    func(url string) redisrole.Config { return redisrole.Config{URL: url} },
		"dedicated": func(url string) redisrole.Config { return redisrole.Config{SocketURL: url, GroupURL: url} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			a, b := startNode(t, config(s.URL())), startNode(t, config(s.URL()))
			for i := range 600 {
				b.Subscribe(fmt.Sprint("r", i))
			}
			b.join(t, "r0", "r599", "left")
			flow(t, a, b, "r599")
			s.Kill()
			waittest.Until(t, "both notice", func() bool { return a.Health(t.Context()) != nil && b.Health(t.Context()) != nil })
			if b.lost.Load() != 0 {
				t.Error("lost was called before the connection was back")
			}
			// A subscription that is requested during the outage is kept.
			during := b.Subscribe("during")
			b.Unsubscribe("left")
			s.Restart()
			waittest.Receive(t, "the interest that began during the outage", during)
			waittest.Until(t, "lost is called", func() bool { return b.lost.Load() == 1 && a.lost.Load() == 1 })
			flow(t, a, b, "r0")
			flow(t, a, b, "r599")
			flow(t, a, b, "during")
			if n := s.Client().PubSubNumSub(t.Context(), "moim:room:left").Val()["moim:room:left"]; n != 0 {
				t.Error("a room that was left during the outage is subscribed to again")
			}
			waittest.Until(t, "they are healthy", func() bool { return a.Health(t.Context()) == nil && b.Health(t.Context()) == nil })
			for _, n := range []*node{a, b} {
				if down, up := n.logs.Count("cannot be reached"), n.logs.Count("reached again"); down != 1 || up != 1 {
					t.Errorf("logged %d times that the server is down and %d times that it is up again, want once each", down, up)
				}
				if got := n.Stats().Reconnects; got != 1 {
					t.Errorf("%d reconnections, want 1", got)
				}
			}
		})
	}
}

func TestLostComesAfterTheRoomsAreBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil)
	redisadapter.Hurry(n.Adapter)
	channels := make([]string, 3000)
	for i := range channels {
		channels[i] = fmt.Sprint("moim:room:r", i)
		n.Subscribe(fmt.Sprint("r", i))
	}
	missing := make(chan int, 1)
	lost := func() {
		count := 0
		for _, subscribers := range s.Client().PubSubNumSub(context.WithoutCancel(t.Context()), channels...).Val() {
			if subscribers == 0 {
				count++
			}
		}
		missing <- count
	}
	if err := n.Start(t.Context(), func(adapter.Envelope) {}, lost); err != nil {
		t.Fatal(err)
	}
	s.Client().ClientKillByFilter(t.Context(), "TYPE", "pubsub")
	select {
	case count := <-missing:
		if count != 0 {
			t.Fatalf("%d rooms were not subscribed to again when lost was called", count)
		}
	case <-time.After(within):
		t.Fatal("lost was not called")
	}
}

func TestStartsWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	a, b := startNode(t, redisrole.Config{URL: s.URL()}), startNode(t, redisrole.Config{URL: s.URL()})
	ready := b.Subscribe("r")
	if a.Health(t.Context()) == nil {
		t.Error("the adapter reports that it is healthy")
	}
	s.Restart()
	waittest.Receive(t, "the interest", ready)
	flow(t, a, b, "r")
	// A node that asked for a room before it was subscribed may have missed envelopes.
	waittest.Until(t, "lost is called", func() bool { return b.lost.Load() == 1 })
}

func TestStartsWhileTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	p.Freeze()
	began := time.Now()
	n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	if took := time.Since(began); took > within {
		t.Errorf("it took %s", took)
	}
	p.Heal()
	n.join(t, "r")
}

// TestPublishFailsFastWhileDown is not parallel, because it counts goroutines.
func TestPublishFailsFastWhileDown(t *testing.T) {
	s := redistest.Start(t)
	n := startNode(t, redisrole.Config{URL: s.URL()})
	n.publish(t, "r", "e")
	s.Kill()
	_ = n.Publish(t.Context(), adapter.Envelope{Room: "r"}) // the node detects the outage
	before := runtime.NumGoroutine()
	began := time.Now()
	var senders sync.WaitGroup
	for range 50 {
		senders.Go(func() {
			for range 200 {
				if err := n.Publish(context.Background(), adapter.Envelope{Room: "r"}); err == nil {
					t.Error("it was published")
				}
			}
		})
	}
	senders.Wait()
	if took := time.Since(began); took > 2*within { // 400 s, if each call waited
		t.Errorf("10000 calls took %s", took)
	}
	waittest.Until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+20 })
	s.Restart()
	waittest.Until(t, "it publishes again", func() bool { return n.Publish(t.Context(), adapter.Envelope{Room: "r"}) == nil })
}

// join makes a node join a room. It returns the room.
func join(t *testing.T, n *node, room string) string {
	t.Helper()
	n.join(t, room)
	return room
}

// TestT16ReplacedServer keeps every connection on a server that stays up, while the other nodes
// use another one. So the probes still return. In one case, the address leads to another server
// with another run id. In the other case, the server was made a replica.
func TestT16ReplacedServer(t *testing.T) {
	t.Parallel()
	for name, demote := range map[string]bool{"another server": false, "a demoted master": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, next := redistest.Start(t), redistest.Start(t)
			p := proxytest.Start(t, old.Addr())
			b := startNode(t, redisrole.Config{URL: old.URLVia(p.Addr())})
			b.join(t, "r")
			// The node knows the server's run id once it has read it over a separate connection.
			waittest.Until(t, "the node has read the server's run id", func() bool { return p.Accepted() >= 3 && p.Links() <= 2 })
			a := startNode(t, redisrole.Config{URL: next.URL()})
			a.join(t, "r")
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
			waittest.Until(t, "the node subscribes on the server of the others", func() bool {
				return next.Client().PubSubNumSub(t.Context(), "moim:room:r").Val()["moim:room:r"] == 2
			})
			t.Logf("T16: %s was left after %s", name, time.Since(began).Round(time.Millisecond))
			waittest.Until(t, "lost is called", func() bool { return b.lost.Load() > 0 })
			flow(t, a, b, "r")
			flow(t, b, a, "r") // it also publishes there
		})
	}
}

// TestT15SubscriptionOnTheOldMaster keeps only the subscribing connection on the wrong server, as
// after a failover whose old master stays up.
func TestT15SubscriptionOnTheOldMaster(t *testing.T) {
	t.Parallel()
	s, other := redistest.Start(t), redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n, m := startNode(t, redisrole.Config{URL: s.URL()}), newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	redisadapter.Hurry(m.Adapter)
	redisadapter.ProbeWithin(m.Adapter, 500*time.Millisecond) // this probe detects it first
	m.start(t)
	m.join(t, "r")
	flow(t, n, m, "r")
	p.Redirect(other.Addr()) // new connections, such as the publisher's, lead to the other server
	killNormal(t, s)
	waittest.Until(t, "the node has detected it and moved all subscriptions", func() bool {
		return other.Client().PubSubNumSub(t.Context(), "moim:room:r").Val()["moim:room:r"] == 1
	})
	waittest.Until(t, "lost is called", func() bool { return m.lost.Load() > 0 })
	if n := m.logs.Count("do not arrive"); n == 0 {
		t.Error("the probe did not detect it first")
	}
}

// killNormal closes every connection that has no subscription.
func killNormal(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := s.Client().ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
}

// TestConnectionsThatAreResetAgainAndAgain is not parallel, because it counts goroutines.
func TestConnectionsThatAreResetAgainAndAgain(t *testing.T) {
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a, b := startNode(t, redisrole.Config{URL: s.URL()}), startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	b.join(t, "r")
	flow(t, a, b, "r")
	before, began := runtime.NumGoroutine(), time.Now()
	for range 20 {
		lost := b.lost.Load()
		p.Drop()
		waittest.Until(t, "it is connected again", func() bool { return b.lost.Load() > lost })
		flow(t, a, b, "r")
	}
	waittest.Until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+10 })
	// The client must open one connection each time, without a second one that the adapter does
	// not know. The publisher may need one for each probe.
	if n := p.Accepted(); n > 30+int(time.Since(began)/(100*time.Millisecond)) {
		t.Errorf("%d connections for 20 resets", n)
	}
	waittest.Until(t, "no subscription is left behind", func() bool {
		return s.Client().PubSubNumSub(t.Context(), "moim:room:r").Val()["moim:room:r"] == 1
	})
}

func TestStopDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	for name, hurt := range map[string]func(){"cut": p.Cut, "frozen": p.Freeze} {
		n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
		n.join(t, "r")
		hurt()
		_ = n.Publish(t.Context(), adapter.Envelope{Room: "r"})
		began := time.Now()
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > within {
			t.Errorf("%s: stopping took %s", name, took)
		}
		p.Heal()
	}
}

func TestStartAndStopAtOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for range 20 {
		n := newNode(t, redisrole.Config{URL: s.URL()}, nil)
		var both sync.WaitGroup
		both.Go(func() { _ = n.Start(t.Context(), func(adapter.Envelope) {}, func() {}) })
		both.Go(func() { _ = n.Stop(t.Context()) })
		both.Go(func() { n.Subscribe("r"); n.Unsubscribe("r") })
		both.Wait()
	}
}
