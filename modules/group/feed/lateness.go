package feed

import (
	"bytes"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latenessBounds are the upper bounds of the histogram, in seconds.
var latenessBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// latenessWindow is how long an observation counts for [Stats], at least; at most, it
// counts twice as long.
const latenessWindow = 15 * time.Second

// lateness measures the time from an event's instant to the moment when the node has
// written it to the sockets that follow the group. It is taken once for each event, after
// all sockets, and not for each socket: the last socket is the one that is late, and one
// more measurement in a thousand deliveries costs nothing.
//
// Subscribers that catch up do not count. Their events are old because they were away.
type lateness struct {
	histogram prometheus.Histogram

	mu                sync.Mutex
	turned            time.Time // when current began
	current, previous counts
}

// counts are the observations below each bound, and above all of them.
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

// observe measures events that were written to sockets until now.
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

// recent returns the events per second, and the bound that 99 % of them were below.
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

// Stats is what happens in a feed now.
type Stats struct {
	Groups          int           // that sockets of this node follow
	EventsPerSecond float64       // that were delivered to them, in the last half minute
	Lateness        time.Duration // that 99 % of them did not exceed; at most 30 s
}

// Stats returns what happens in the feed now.
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

// at returns the instant of the event, by the clock of the database. It is the last field
// of an Event, and no text can contain its key: quotes in text are escaped.
func (it *item) at() (at time.Time, ok bool) {
	i := bytes.LastIndex(it.wire, atKey)
	if i < 0 {
		return at, false
	}
	text, _, ok := bytes.Cut(it.wire[i+len(atKey):], []byte{'"'})
	return at, ok && at.UnmarshalText(text) == nil
}
