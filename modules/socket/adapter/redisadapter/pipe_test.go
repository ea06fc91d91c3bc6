package redisadapter_test

import (
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
// connections in, those of the role's client do.
func TestPublishingWithoutAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := redisrole.Config{URL: redistest.Start(t).URL()}
	from, to := newNode(t, cfg, nil), startNode(t, cfg)
	redisadapter.NoConnections(from.Adapter)
	from.start(t)
	to.join(t, "r")
	from.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "cast"})
	from.publish(t, "r", "published")
	for _, want := range []string{"cast", "published"} {
		if env := to.next(t); env.Event != want {
			t.Errorf("%s arrived, want %s", env.Event, want)
		}
	}
	if s := from.Stats(); s.Published != 2 || s.Failed != 0 {
		t.Errorf("%d were published and %d failed", s.Published, s.Failed)
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
