package redisadapter_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// TestCastsAreHardlyAnswered: the server is not asked what becomes of what
// nobody waits for, but early enough to count it.
func TestCastsAreHardlyAnswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	from := startNode(t, redisrole.Config{URL: s.URL()})
	from.publish(t, "r", "the connection is there")
	monitor := s.Monitor()
	const casts = 1000
	for i := range casts {
		if !from.Cast(t.Context(), adapter.Envelope{Room: "r", Event: strconv.Itoa(i)}) {
			t.Fatal("a cast was not taken")
		}
	}
	from.publish(t, "r", "fence")
	if n := from.Stats().Published; n < casts+2 {
		t.Errorf("%d were counted as published", n)
	}
	published, silent := 0, 0
	for _, c := range monitor.Commands() {
		switch {
		case c.Is("publish") && strings.HasPrefix(c.Args[1], "moim:room:"):
			published++
		case c.Is("client") && len(c.Args) == 3 && strings.EqualFold(c.Args[1], "reply"):
			silent++
		}
	}
	// One in so many, one a second, and what was published meanwhile.
	if answered := published - silent; published != casts+1 || answered > casts/10 {
		t.Errorf("of %d messages %d were answered", published, answered)
	}
}

// TestWithoutTheRightToSilence: where the server answers everything whatever it is
// asked, the adapter is as good.
func TestWithoutTheRightToSilence(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "allchannels", "+@all", "-client|reply"))
	var prefixes atomic.Int64
	adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
		cfg := redisrole.Config{URL: s.URL(), Prefix: fmt.Sprintf("p%d", prefixes.Add(1))}
		for i := range opened {
			opened[i] = newNode(t, cfg, nil).Adapter
		}
		return opened
	})
}

// TestRefusedByTheServer: whoever waits hears why, and the next one is not
// concerned.
func TestRefusedByTheServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*", "&moim:room:mine"))
	n := startNode(t, redisrole.Config{URL: s.URL()})
	for range 3 {
		if err := n.Publish(t.Context(), adapter.Envelope{Room: "r", Event: "e"}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("publish without the right: %v", err)
		}
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"}) // its refusal is heard by nobody
		n.publish(t, "mine", "e")
	}
	if n.logs.count("cannot be reached") > 0 {
		t.Error("a server that refuses was taken for one that is gone")
	}
}

// TestPublishingConnectionIsKilled: the next message goes over another one.
func TestPublishingConnectionIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, redisrole.Config{URL: s.URL()})
	n.publish(t, "r", "e")
	kill := redis.NewCmd(t.Context(), "client", "kill", "type", "normal", "skipme", "yes")
	for range 3 {
		if err := s.Client().Process(t.Context(), kill); err != nil {
			t.Fatal(err)
		}
		n.publish(t, "r", "e")
	}
	if n.logs.count("cannot be reached") > 0 {
		t.Error("a connection's end was taken for the server's")
	}
}

// TestPublishingWithoutAConnectionOfItsOwn: where the server lets no more
// connections in, or does not answer new ones, those of the role's client do.
func TestPublishingWithoutAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(context.Context) error{
		"refused": func(context.Context) error { return redisrole.ErrNoConn },
		"hangs": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := redisrole.Config{URL: redistest.Start(t).URL()}
			from, to := newNode(t, cfg, nil), startNode(t, cfg)
			var dials atomic.Int64
			redisadapter.NoConnections(from.Adapter, func(ctx context.Context) error {
				dials.Add(1)
				return dial(ctx)
			})
			from.start(t)
			to.join(t, "r")
			const rounds = 100
			alternate(t, from, to, rounds)
			if s := from.Stats(); s.Published != 2*rounds || s.Failed != 0 {
				t.Errorf("%d were published and %d failed", s.Published, s.Failed)
			}
			if n := dials.Load(); n == 0 || n > rounds/4 {
				t.Errorf("%d times another connection was asked for", n)
			}
		})
	}
}

// TestSilenceIsForbiddenLater: an answer that was not asked for is taken for no
// other message's.
func TestSilenceIsForbiddenLater(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "allchannels", "+@all"))
	n := startNode(t, redisrole.Config{URL: s.URL()})
	rule := func(rules ...string) {
		args := []any{"acl", "setuser", "moim"}
		for _, r := range rules {
			args = append(args, r)
		}
		if err := s.Client().Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	publish := func() error {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
		return n.Publish(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
	}
	n.publish(t, "r", "e")
	rule("-client|reply")
	eventually(t, "it publishes without silence", func() bool { return publish() == nil })
	rule("resetchannels", "&moim:probe:*")
	for range 3 {
		if err := publish(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("publish without the right: %v", err)
		}
	}
}

// TestRefusedCastsAreCounted although the server is hardly asked.
func TestRefusedCastsAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*"))
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil) // whose probes are seldom
	n.start(t)
	const casts = 1000
	for range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
	}
	eventually(t, "they have failed", func() bool { return n.Stats().Failed > casts/2 })
	if published := n.Stats().Published; published > 0 {
		t.Errorf("%d were counted as published", published)
	}
}

// TestCastsOfADeadConnection are counted as lost, however late that is known.
func TestCastsOfADeadConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	n.publish(t, "r", "e")
	before := n.Stats()
	p.Freeze()
	const casts = 20
	for range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
	}
	eventually(t, "they have failed", func() bool { return n.Stats().Failed >= before.Failed+casts })
	p.Heal()
	eventually(t, "the server is reached again", func() bool { return n.Health(t.Context()) == nil })
	if after := n.Stats(); after.Published != before.Published {
		t.Errorf("%d were counted as published", after.Published-before.Published)
	}
}
