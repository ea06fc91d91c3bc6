package redisadapter_test

import (
	"strconv"
	"testing"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
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

// TestOrderOfCastAndPublished: what is waited for does not overtake the rest.
func TestOrderOfCastAndPublished(t *testing.T) {
	t.Parallel()
	from, to := pair(t)
	alternate(t, from, to, 200)
}

// alternate casts and publishes by turns, and wants all of it to arrive in that
// order.
func alternate(t *testing.T, from, to *node, rounds int) {
	t.Helper()
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

// TestStopPublishesWhatIsQueued: more than fits into a round trip.
func TestStopPublishesWhatIsQueued(t *testing.T) {
	t.Parallel()
	from, to := pair(t)
	const casts = 2000
	for i := range casts {
		from.Cast(t.Context(), adapter.Envelope{Room: "r", Event: strconv.Itoa(i)})
	}
	if err := from.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range casts {
		if env := to.next(t); env.Event != strconv.Itoa(i) {
			t.Fatalf("%s arrived, want %d", env.Event, i)
		}
	}
	if s := from.Stats(); s.Published != casts || s.Failed != 0 || s.Queued != 0 {
		t.Errorf("%d were published, %d failed and %d are queued", s.Published, s.Failed, s.Queued)
	}
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

// TestCastNeverWaits: while the server has not answered only so many are taken,
// and whoever adds to them is told so at once.
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
