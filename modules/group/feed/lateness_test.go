package feed

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/modules/group"
)

func itemAt(t testing.TB, at time.Time) *item {
	t.Helper()
	it, err := newItem(group.Event{
		GroupID: "g", Version: 1, Type: group.MessagePosted, At: at,
		Data: []byte(`{"type":"text","data":{"text":"\"at\":\"2001-01-01T00:00:00Z\""}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func TestLateness(t *testing.T) {
	t.Parallel()
	l := newLateness()
	now := l.turned
	for range 98 {
		l.observe(now, []*item{itemAt(t, now.Add(-3*time.Millisecond))})
	}
	l.observe(now, []*item{itemAt(t, now.Add(time.Hour)), itemAt(t, now.Add(-4*time.Second))}) // the database's clock is ahead
	rate, p99 := l.recent(now.Add(5 * time.Second))
	if rate != 5 || p99 != 5*time.Millisecond {
		t.Errorf("%v events/s, %v; want 5 and 5 ms", rate, p99)
	}
	l.observe(now, []*item{itemAt(t, now.Add(-4*time.Second))})
	if _, p99 := l.recent(now.Add(latenessWindow)); p99 != 5*time.Second {
		t.Errorf("with two late events: %v", p99)
	}
	if rate, p99 := l.recent(now.Add(3 * latenessWindow)); rate != 0 || p99 != 0 {
		t.Errorf("after the window: %v, %v", rate, p99)
	}
	m := prometheus.NewRegistry()
	m.MustRegister(l.histogram)
	families, err := m.Gather()
	if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetHistogram().GetSampleCount() != 101 {
		t.Error(families, err)
	}
}

// TestLatenessOfDeliveries checks that each node counts an event once, however many sockets
// get it.
func TestLatenessOfDeliveries(t *testing.T) {
	t.Parallel()
	log := logOf(0)
	nodes := newCluster(t, log, 2, nil)
	var last *recorder
	for _, n := range nodes {
		for i := range 3 {
			last = newRecorder(n.hub, fmt.Sprint("user", i))
			last.follow(t, n.feed, "g", nil)
		}
	}
	nodes[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	for _, n := range nodes {
		last.await(t, func() bool {
			n.feed.lateness.mu.Lock()
			defer n.feed.lateness.mu.Unlock()
			return n.feed.lateness.current.total+n.feed.lateness.previous.total == 1
		})
		if s := n.feed.Stats(); s.Groups != 1 || s.EventsPerSecond <= 0 || s.Lateness <= 0 {
			t.Errorf("%+v", s)
		}
	}
}

// BenchmarkLateness shows the cost of the measurement. Compare it with a delivery to a
// socket, which takes more than a microsecond.
func BenchmarkLateness(b *testing.B) {
	l, now := newLateness(), time.Now()
	items := []*item{itemAt(b, now)}
	b.ReportAllocs()
	for b.Loop() {
		l.observe(now, items)
	}
}
