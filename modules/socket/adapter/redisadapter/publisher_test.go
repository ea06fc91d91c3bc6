package redisadapter_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// pair returns a node that publishes, and one that listens to its room.
func pair(t *testing.T) (from, to *node) {
	t.Helper()
	cfg := redisrole.Config{URL: redistest.Start(t).URL()}
	from, to = newNode(t, cfg, nil), newNode(t, cfg, nil)
	from.start(t)
	to.start(t)
	to.join(t, "r")
	return from, to
}

// TestOrderOfCastAndPublished: Publish does not overtake Cast.
func TestOrderOfCastAndPublished(t *testing.T) {
	t.Parallel()
	from, to := pair(t)
	const rounds = 200
	for i := range rounds {
		from.Cast(t.Context(), adapter.Envelope{Room: "r", Event: strconv.Itoa(2 * i)})
		from.publish(t, "r", strconv.Itoa(2*i+1))
	}
	for i := range 2 * rounds {
		if env := to.next(t); env.Event != strconv.Itoa(i) {
			t.Fatalf("%s arrived, want %d", env.Event, i)
		}
	}
}

// held is a client's hook that counts the envelopes of each pipeline and lets none
// pass until it is released.
type held struct {
	begun, released chan struct{}

	mu        sync.Mutex
	pipelines []int
}

func (h *held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		envelopes := 0
		for _, cmd := range cmds {
			if channel, _ := cmd.Args()[1].(string); strings.HasPrefix(channel, "moim:room:") {
				envelopes++
			}
		}
		if envelopes > 0 {
			h.mu.Lock()
			h.pipelines = append(h.pipelines, envelopes)
			first := len(h.pipelines) == 1
			h.mu.Unlock()
			if first {
				close(h.begun)
			}
			<-h.released
		}
		return next(context.WithoutCancel(ctx), cmds) // it may have been held for long
	}
}

func (h *held) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *held) DialHook(next redis.DialHook) redis.DialHook          { return next }

// TestCastsDuringARoundTripShareTheNext: that is what keeps a busy node's cost low.
func TestCastsDuringARoundTripShareTheNext(t *testing.T) {
	t.Parallel()
	// With longer timeouts the adapter would use a view of the client, without its hooks.
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr(), ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
	t.Cleanup(func() { _ = client.Close() })
	h := &held{begun: make(chan struct{}), released: make(chan struct{})}
	client.AddHook(h)
	n := newNode(t, redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Socket: client, redisrole.Group: client})
	n.start(t)
	n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "first"})
	waittest.Receive(t, "the first round trip", h.begun)
	const casts = 200
	for i := range casts {
		if !n.Cast(t.Context(), adapter.Envelope{Room: strconv.Itoa(i), Event: "e"}) {
			t.Fatal("a cast was not taken")
		}
	}
	close(h.released)
	n.publish(t, "r", "last")
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pipelines) > 3 || h.pipelines[1] < casts {
		t.Errorf("%d casts took pipelines of %v", casts, h.pipelines)
	}
}

// TestStopPublishesWhatIsQueued: more than fits into a round trip.
func TestStopPublishesWhatIsQueued(t *testing.T) {
	t.Parallel()
	const tries = 5
	for range tries { // a round trip at the end takes half a second at most, which a busy machine may need
		if stopPublishes(t) {
			return
		}
	}
	t.Errorf("%d times some of what was queued was not published", tries)
}

// stopPublishes reports whether a node that stops publishes what is queued.
func stopPublishes(t *testing.T) bool {
	t.Helper()
	from, to := pair(t)
	const casts = 2000
	for i := range casts {
		from.Cast(t.Context(), adapter.Envelope{Room: "r", Event: strconv.Itoa(i)})
	}
	if err := from.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if from.Stats().Failed > 0 {
		return false
	}
	for i := range casts {
		if env := to.next(t); env.Event != strconv.Itoa(i) {
			t.Fatalf("%s arrived, want %d", env.Event, i)
		}
	}
	if s := from.Stats(); s.Published != casts || s.Failed != 0 || s.Queued != 0 {
		t.Errorf("%d were published, %d failed and %d are queued", s.Published, s.Failed, s.Queued)
	}
	return true
}

func TestStopCountsWhatItCannotPublish(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	p.Freeze()
	const casts = 600
	for i := range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: strconv.Itoa(i)})
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A few may have been under way when the server froze.
	if s := n.Stats(); s.Published+s.Failed != casts || s.Failed < casts/2 || s.Queued != 0 {
		t.Errorf("%d were published, %d failed and %d are queued", s.Published, s.Failed, s.Queued)
	}
}

// TestCastNeverWaits: while the server does not answer, the queue takes so
// many casts and refuses the rest at once.
func TestCastNeverWaits(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	// Its probes are not hurried: the server counts as dead when they miss.
	n := newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	n.start(t)
	p.Freeze()
	const most = 10_000
	taken := 0
	for taken < most && n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"}) {
		taken++
	}
	if taken < 4096 || taken == most {
		t.Errorf("%d were taken", taken)
	}
	p.Heal()
	n.publish(t, "r", "last") // waits for them
	if s := n.Stats(); s.Published+s.Failed != uint64(taken)+1 {
		t.Errorf("%d were taken and one waited for, %d published, %d failed", taken, s.Published, s.Failed)
	}
}

// TestRefusedByTheServer: the caller gets the server's refusal, and the next
// message is not affected.
func TestRefusedByTheServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*", "&moim:room:mine"))
	n := startNode(t, redisrole.Config{URL: s.URL()})
	for range 3 {
		if err := n.Publish(t.Context(), adapter.Envelope{Room: "r", Event: "e"}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("publish without the right: %v", err)
		}
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"}) // no caller waits for the refusal
		n.publish(t, "mine", "e")
	}
	if n.logs.Count("cannot be reached") > 0 {
		t.Error("a server that refuses was taken for one that is gone")
	}
}

// TestPublishingConnectionIsKilled: the next message goes over another one.
func TestPublishingConnectionIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil) // whose probes are seldom: none is under way
	n.start(t)
	n.publish(t, "r", "e")
	kill := redis.NewCmd(t.Context(), "client", "kill", "type", "normal", "skipme", "yes")
	for range 3 {
		if err := s.Client().Process(t.Context(), kill); err != nil {
			t.Fatal(err)
		}
		n.publish(t, "r", "e")
	}
	if n.logs.Count("cannot be reached") > 0 {
		t.Error("a connection's end was taken for the server's")
	}
}

// TestRefusedCastsAreCounted although no caller waits for the answers.
func TestRefusedCastsAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*"))
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil) // whose probes are seldom
	n.start(t)
	const casts = 1000
	for range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
	}
	waittest.Until(t, "they have failed", func() bool { return n.Stats().Failed > casts/2 })
	if published := n.Stats().Published; published > 0 {
		t.Errorf("%d were counted as published", published)
	}
}

// TestCastsOfADeadConnection: they are counted as failed.
func TestCastsOfADeadConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	waittest.Until(t, "it publishes", func() bool { return n.Publish(t.Context(), adapter.Envelope{Room: "r", Event: "e"}) == nil })
	before := n.Stats()
	p.Freeze()
	const casts = 20
	for range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"})
	}
	waittest.Until(t, "they have failed", func() bool { return n.Stats().Failed >= before.Failed+casts })
	p.Heal()
	waittest.Until(t, "the server is reached again", func() bool { return n.Health(t.Context()) == nil })
	if after := n.Stats(); after.Published != before.Published {
		t.Errorf("%d were counted as published", after.Published-before.Published)
	}
}
