package redisadapter_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests mostly wait
		panic(err)
	}
	// go-redis inspects clusters in a goroutine that the tests cannot wait for. It ends soon
	// after the client was closed.
	childtest.VerifyMain(m,
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*clusterStateHolder).LazyReload.func1"),
		// After its client was closed, it tries to reach a killed server for up to a second.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// within is how long a test waits for an expected event.
const within = 30 * time.Second

// node is an adapter and the envelopes that it delivered.
type node struct {
	*redisadapter.Adapter
	logs     *childtest.Log
	received chan adapter.Envelope
	lost     atomic.Int32
}

// newNode returns a node that is not started.
func newNode(t testing.TB, cfg redisrole.Config, given map[redisrole.Role]redis.UniversalClient) *node {
	t.Helper()
	name := redisrole.NodeID(fmt.Sprintf("node-%d", nodes.Add(1)))
	clients, err := redisrole.New(cfg, name, given)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{logs: &childtest.Log{}, received: make(chan adapter.Envelope, 10_000)}
	n.Adapter, err = redisadapter.New(clients, redisadapter.Key(cfg.SocketHMAC).Always(), slog.New(slog.NewTextHandler(n.logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = clients.Close()
	})
	return n
}

var nodes atomic.Int64

// patientNode returns a node that waits for a busy server. It is not started.
func patientNode(t testing.TB, cfg redisrole.Config, given map[redisrole.Role]redis.UniversalClient) *node {
	t.Helper()
	n := newNode(t, cfg, given)
	redisadapter.BePatient(n.Adapter)
	return n
}

// startNode starts a node that probes and reconnects quickly.
func startNode(t testing.TB, cfg redisrole.Config) *node {
	t.Helper()
	n := newNode(t, cfg, nil)
	redisadapter.Hurry(n.Adapter)
	n.start(t)
	return n
}

func (n *node) start(t testing.TB) {
	t.Helper()
	if err := n.Start(t.Context(), func(env adapter.Envelope) { n.received <- env }, func() { n.lost.Add(1) }); err != nil {
		t.Fatal(err)
	}
}

func (n *node) join(t testing.TB, rooms ...string) {
	t.Helper()
	for _, room := range rooms {
		waittest.Receive(t, "the interest in "+room, n.Subscribe(room))
	}
}

func (n *node) publish(t testing.TB, room, event string) {
	t.Helper()
	if err := n.Publish(t.Context(), adapter.Envelope{Room: room, Event: event}); err != nil {
		t.Fatal(err)
	}
}

// next returns the next envelope.
func (n *node) next(t testing.TB) adapter.Envelope {
	t.Helper()
	return waittest.Receive(t, "an envelope arrives", n.received)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	prefixes := atomic.Int64{}
	for name, config := range map[string]func(url string) redisrole.Config{
		"shared":    func(url string) redisrole.Config { return redisrole.Config{URL: url} },
		"dedicated": func(url string) redisrole.Config { return redisrole.Config{SocketURL: url, GroupURL: url} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
				cfg := config(redistest.Patiently(s.URL()))
				cfg.Prefix = fmt.Sprintf("p%d", prefixes.Add(1))
				for i := range opened {
					opened[i] = patientNode(t, cfg, nil).Adapter
				}
				return opened
			})
		})
	}
	t.Run("given", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t, redistest.WithTLS(), redistest.WithUser("moim", "secret"))
		client := s.Client()
		adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
			cfg := redisrole.Config{Prefix: fmt.Sprintf("p%d", prefixes.Add(1))}
			for i := range opened {
				opened[i] = patientNode(t, cfg, map[redisrole.Role]redis.UniversalClient{redisrole.Socket: client, redisrole.Group: client}).Adapter
			}
			return opened
		})
	})
}

func TestNewNeedsTheSocketRole(t *testing.T) {
	t.Parallel()
	clients, err := redisrole.New(redisrole.Config{}, "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redisadapter.New(clients, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("an adapter without Redis was made")
	}
}

func TestChannelsAreSubscribedOnlyWhileWanted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cfg := redisrole.Config{URL: s.URL(), Prefix: "shop"}
	a, b := startNode(t, cfg), startNode(t, cfg)
	subscribers := func(room string) int64 {
		channel := "shop:room:" + room
		return s.Client().PubSubNumSub(t.Context(), channel).Val()[channel]
	}
	a.join(t, "r")
	b.join(t, "r")
	if n := subscribers("r"); n != 2 {
		t.Fatalf("%d subscribers, want 2", n)
	}
	a.Unsubscribe("r")
	waittest.Until(t, "the channel is left", func() bool { return subscribers("r") == 1 })
	b.publish(t, "r", "e")
	b.join(t, "other")
	a.join(t, "other")
	b.publish(t, "other", "fence")
	if env := a.next(t); env.Event != "fence" {
		t.Fatalf("a node without interest received %q", env.Event)
	}
	if got := a.Stats(); got.Received != 1 || got.Dropped != 0 || got.Rooms != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestRolesTraffic(t *testing.T) {
	t.Parallel()
	shared, own := redistest.Start(t), redistest.Start(t)
	seesShared, seesOwn := shared.Monitor(), own.Monitor()
	cfg := redisrole.Config{URL: shared.URL(), SocketURL: own.URL()}
	a, b := startNode(t, cfg), startNode(t, cfg)
	b.join(t, "r")
	a.publish(t, "r", "e")
	b.next(t)
	count := func(m *redistest.Monitor, name string) (n int) {
		for _, c := range m.Commands() {
			if c.Is(name) {
				n++
			}
		}
		return n
	}
	if count(seesOwn, "publish") == 0 || count(seesOwn, "subscribe") == 0 {
		t.Error("the socket role's own server saw no traffic")
	}
	if count(seesShared, "publish")+count(seesShared, "subscribe") != 0 {
		t.Error("the shared server saw the socket role's traffic")
	}
}

func TestManyRoomsTakeFewCommands(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil)
	var ready []<-chan struct{}
	for i := range 2000 {
		ready = append(ready, n.Subscribe(fmt.Sprint("r", i)))
	}
	m := s.Monitor()
	n.start(t)
	for _, c := range ready {
		waittest.Receive(t, "an interest", c)
	}
	commands := 0
	for _, c := range m.Commands() {
		if c.Is("subscribe") {
			commands++
		}
	}
	if commands > 5 {
		t.Fatalf("%d commands for 2000 rooms", commands)
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cfg := redisrole.Config{URL: s.URL()}
	a, b := startNode(t, cfg), startNode(t, cfg)
	b.join(t, "r")
	garbage := []string{"", "\x01", "hello", "\x01" + strings.Repeat("\xff", 40), "\x02" + strings.Repeat("\x00", 40), strings.Repeat("x", 1<<20)}
	for _, g := range garbage {
		if err := s.Client().Publish(t.Context(), "moim:room:r", g).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range append(garbage, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") {
		_ = s.Client().Publish(t.Context(), redisadapter.ProbeChannel(b.Adapter), g).Err()
	}
	a.publish(t, "r", "e")
	if env := b.next(t); env.Event != "e" {
		t.Fatalf("garbage was delivered: %+v", env)
	}
	if got := b.Stats().Malformed; got != uint64(len(garbage)) {
		t.Errorf("%d counted, want %d", got, len(garbage))
	}
	if got := b.logs.Count("dropped a message"); got != 1 {
		t.Errorf("%d warnings, want 1", got)
	}
	if got := b.Stats().Reconnects; got != 0 {
		t.Errorf("%d reconnections", got)
	}
}

// TestT20OnlySignedEnvelopesArrive has three attackers on the server. The first has no key. The
// second repeats messages. The third publishes them on another channel. None of these messages
// may be delivered.
func TestT20OnlySignedEnvelopesArrive(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	plain := redisrole.Config{URL: s.URL()}
	signed := redisrole.Config{URL: s.URL(), SocketHMAC: strings.Repeat("k", 32)}
	other := redisrole.Config{URL: s.URL(), SocketHMAC: strings.Repeat("o", 32)}
	a, b := startNode(t, signed), startNode(t, signed)
	keyless, foreign := startNode(t, plain), startNode(t, other)
	b.join(t, "r", "s")
	keyless.join(t, "r")
	seen := s.Client().Subscribe(t.Context(), "moim:room:r")
	defer seen.Close()
	if _, err := seen.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.publish(t, "r", "first")
	msg, err := seen.ReceiveMessage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, channel := range []string{"moim:room:r", "moim:room:s"} {
		if err := s.Client().Publish(t.Context(), channel, msg.Payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	keyless.publish(t, "r", "forged")
	foreign.publish(t, "r", "forged")
	broken := msg.Payload[:len(msg.Payload)-1] + "x"
	if err := s.Client().Publish(t.Context(), "moim:room:r", broken).Err(); err != nil {
		t.Fatal(err)
	}
	a.publish(t, "r", "last")
	for _, want := range []string{"first", "last"} {
		if env := b.next(t); env.Event != want {
			t.Errorf("%q arrived, want %q", env.Event, want)
		}
	}
	if got := b.Stats(); got.Forged != 4 || got.Dropped != 1 {
		t.Errorf("%d forged and %d repeated, want 4 and 1", got.Forged, got.Dropped)
	}
	if env := keyless.next(t); env.Event != "first" {
		t.Errorf("a node that has no key yet was given %q", env.Event)
	}
}

func TestRefusedPublishIsAnError(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "~*", "&moim:*", "+@all", "-publish"))
	n := startNode(t, redisrole.Config{URL: s.URL()})
	err := n.Publish(t.Context(), adapter.Envelope{Room: "r"})
	if err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Fatal("the error tells the password")
	}
}

func TestTooLargeIsAnError(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, redisrole.Config{URL: s.URL()})
	if err := n.Publish(t.Context(), adapter.Envelope{Room: "r", Data: make([]byte, 33<<20)}); err == nil {
		t.Fatal("it was published")
	}
}
