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

// pair returns a node that publishes, and one that has joined its room.
func pair(t *testing.T) (from, to *node) {
	t.Helper()
	cfg := redisrole.Config{URL: redistest.Start(t).URL()}
	from, to = newNode(t, cfg, nil), newNode(t, cfg, nil)
	from.start(t)
	to.start(t)
	to.join(t, "r")
	return from, to
}

// TestOrderOfCastAndPublished checks that Publish does not overtake Cast.
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

// held is a hook of a client. It counts the envelopes of each pipeline and blocks pipelines until
// it is released.
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
		return next(context.WithoutCancel(ctx), cmds) // the caller's context may have ended while it was held
	}
}

func (h *held) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *held) DialHook(next redis.DialHook) redis.DialHook          { return next }

// TestCastsDuringARoundTripShareTheNext checks that all casts during a round trip share the next
// one. This keeps the cost of a busy node low.
func TestCastsDuringARoundTripShareTheNext(t *testing.T) {
	t.Parallel()
	// With longer timeouts, the adapter would use a copy of the client without its hooks.
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

// TestStopPublishesWhatIsQueued stops a node with more queued envelopes than fit into a round
// trip.
func TestStopPublishesWhatIsQueued(t *testing.T) {
	t.Parallel()
	const tries = 5
	for range tries { // the last round trips may take half a second, which may be too short on a busy machine
		if stopPublishes(t) {
			return
		}
	}
	t.Errorf("%d times, some queued envelopes were not published", tries)
}

// stopPublishes reports whether a stopping node publishes the queued envelopes.
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
	// A few may have been in transit when the server was frozen.
	if s := n.Stats(); s.Published+s.Failed != casts || s.Failed < casts/2 || s.Queued != 0 {
		t.Errorf("%d were published, %d failed and %d are queued", s.Published, s.Failed, s.Queued)
	}
}

// TestCastNeverWaits checks that the queue accepts a fixed number of casts while the server does
// not answer, and refuses more at once.
func TestCastNeverWaits(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	// This node probes at the usual rate. With Hurry, it would treat the server as down.
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
	n.publish(t, "r", "last") // waits for the earlier ones
	if s := n.Stats(); s.Published+s.Failed != uint64(taken)+1 {
		t.Errorf("%d casts were accepted, %d published, %d failed", taken, s.Published, s.Failed)
	}
}

// TestRefusedByTheServer checks that the caller gets the server's error, and that the next
// message is not affected.
func TestRefusedByTheServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*", "&moim:room:mine"))
	n := startNode(t, redisrole.Config{URL: s.URL()})
	for range 3 {
		if err := n.Publish(t.Context(), adapter.Envelope{Room: "r", Event: "e"}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("publish without the right: %v", err)
		}
		n.Cast(t.Context(), adapter.Envelope{Room: "r", Event: "e"}) // no caller waits for this error
		n.publish(t, "mine", "e")
	}
	if n.logs.Count("cannot be reached") > 0 {
		t.Error("a server that refuses was treated as down")
	}
}

// TestPublishingConnectionIsKilled checks that the next message uses another connection.
func TestPublishingConnectionIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil) // it probes rarely, so no probe is in transit
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

// TestRefusedCastsAreCounted checks that refused casts are counted, although no caller waits for
// the answers.
func TestRefusedCastsAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("moim", "secret", "allkeys", "+@all", "&moim:probe:*"))
	n := newNode(t, redisrole.Config{URL: s.URL()}, nil) // it probes rarely
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

// TestCastsOfADeadConnection checks that casts on a dead connection are counted as failed.
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
