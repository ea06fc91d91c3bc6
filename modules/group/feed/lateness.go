package feed

import (
	"bytes"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latenessBounds are the upper bounds of the histogram, in seconds.
var latenessBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// latenessWindow is how long an observation counts for [Stats], at least. It counts at most
// twice as long.
const latenessWindow = 15 * time.Second

// lateness measures the time from an event's commit to the moment when this node has
// written it to all subscribed sockets. It measures once for each event, after the last
// socket, because that is the latest one. This costs little even with thousands of sockets.
//
// It ignores subscribers that catch up. Their events are old because the clients were away.
type lateness struct {
	histogram prometheus.Histogram

	mu                sync.Mutex
	turned            time.Time // when current began
	current, previous counts
}

// counts are the numbers of observations in each bucket of the histogram; the last bucket
// has no bound.
type counts struct {
	below [15]int64 // len(latenessBounds) + 1
	total int64
}

func newLateness() *lateness {
	return &lateness{turned: time.Now(), histogram: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "moim_event_lateness_seconds",
		Help:    "Time from an event's instant until this node had written it to all sockets that follow the group.",
		Buckets: latenessBounds,
	})}
}

// observe records that events have been written to sockets at now.
func (l *lateness) observe(now time.Time, events []*item) {
	for _, it := range events {
		at, ok := it.at()
		if !ok {
			continue
		}
		late := max(now.Sub(at).Seconds(), 0) // the clock of the database may be ahead
		l.histogram.Observe(late)
		i := 0
		for i < len(latenessBounds) && late > latenessBounds[i] {
			i++
		}
		l.mu.Lock()
		l.turnLocked(now)
		l.current.below[i]++
		l.current.total++
		l.mu.Unlock()
	}
}

func (l *lateness) turnLocked(now time.Time) {
	switch age := now.Sub(l.turned); {
	case age < latenessWindow:
	case age < 2*latenessWindow:
		l.previous, l.current, l.turned = l.current, counts{}, l.turned.Add(latenessWindow)
	default:
		l.previous, l.current, l.turned = counts{}, counts{}, now
	}
}

// recent returns the events per second, and the bound that 99 % of their latencies do not
// exceed.
func (l *lateness) recent(now time.Time) (perSecond float64, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnLocked(now)
	total := l.current.total + l.previous.total
	if total == 0 {
		return 0, 0
	}
	perSecond = float64(total) / (latenessWindow + now.Sub(l.turned)).Seconds()
	var seen int64
	for i, bound := range latenessBounds {
		if seen += l.current.below[i] + l.previous.below[i]; 100*seen >= 99*total {
			return perSecond, time.Duration(bound * float64(time.Second))
		}
	}
	return perSecond, time.Duration(latenessBounds[len(latenessBounds)-1] * float64(time.Second))
}

// Stats describes the current work of a feed.
type Stats struct {
	Groups          int           // groups with a subscribed socket on this node
	EventsPerSecond float64       // delivered to these sockets, in the last half minute
	Lateness        time.Duration // 99 % of the events were not later; at most 30 s
}

// Stats returns the current statistics.
func (f *Feed) Stats() Stats {
	var s Stats
	f.mu.Lock()
	s.Groups = len(f.topics)
	f.mu.Unlock()
	s.EventsPerSecond, s.Lateness = f.lateness.recent(time.Now())
	return s
}

// Register adds the feed's metrics to r.
func (f *Feed) Register(r prometheus.Registerer) error { return r.Register(f.lateness.histogram) }

var atKey = []byte(`"at":"`)

// at returns the event's time, by the clock of the database. It is the last field of an
// Event. No text can contain the key that is searched for, because quotes in text are
// escaped.
func (it *item) at() (at time.Time, ok bool) {
	i := bytes.LastIndex(it.wire, atKey)
	if i < 0 {
		return at, false
	}
	text, _, ok := bytes.Cut(it.wire[i+len(atKey):], []byte{'"'})
	return at, ok && at.UnmarshalText(text) == nil
}
