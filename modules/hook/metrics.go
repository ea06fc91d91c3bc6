package hook

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are labelled with the name of the hook, because a deployment has at most
// [MaxHooks].
type metrics struct {
	attempts *prometheus.CounterVec
	events   *prometheus.CounterVec
	lag      *prometheus.HistogramVec
	took     *prometheus.HistogramVec
	waiting  *prometheus.GaugeVec
	parked   *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
}

func newMetrics() *metrics {
	of := []string{"hook"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, of)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}}, of)
	}
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "moim_hook_attempts_total", Help: "Attempts of this node to send a delivery."}, []string{"hook", "result"}),
		events:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "moim_hook_events_total", Help: "Events and changes of presence that receivers accepted from this node."}, of),
		lag:      histogram("moim_hook_lag_seconds", "Time from an event's instant until the receiver had accepted it from this node."),
		took:     histogram("moim_hook_attempt_seconds", "How long an attempt of this node took."),
		waiting:  gauge("moim_hook_waiting", "Groups for which something is left to be sent, on all nodes. A group with both events and presence left counts twice. It counts to 10,000."),
		parked:   gauge("moim_hook_parked", "Groups of these that are not tried any more."),
		oldest:   gauge("moim_hook_oldest_seconds", "How long the longest of the groups that wait, and are not parked, has waited."),
	}
}

// Register adds the metrics to r.
func (d *Dispatcher) Register(r prometheus.Registerer) error {
	var errs []error
	unstored := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "moim_hook_presence_unstored", Help: "Changes of presence that this node has seen and not stored yet.",
	}, func() float64 { return float64(d.recorder.unstored()) })
	for _, c := range []prometheus.Collector{unstored, d.metrics.attempts, d.metrics.events, d.metrics.lag, d.metrics.took, d.metrics.waiting, d.metrics.parked, d.metrics.oldest} {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) attempted(hook string, began time.Time, d Delivery, err error) {
	now := time.Now()
	m.took.WithLabelValues(hook).Observe(now.Sub(began).Seconds())
	if err != nil {
		m.attempts.WithLabelValues(hook, "failed").Inc()
		return
	}
	m.attempts.WithLabelValues(hook, "accepted").Inc()
	m.events.WithLabelValues(hook).Add(float64(len(d.Events) + len(d.Presence)))
	late := func(at time.Time) {
		m.lag.WithLabelValues(hook).Observe(max(now.Sub(at).Seconds(), 0)) // another clock may be ahead
	}
	for _, e := range d.Events {
		late(e.At)
	}
	for _, c := range d.Presence {
		late(c.At)
	}
}

func (m *metrics) count(hook string, b Backlog) {
	m.waiting.WithLabelValues(hook).Set(float64(b.Waiting))
	m.parked.WithLabelValues(hook).Set(float64(b.Parked))
	m.oldest.WithLabelValues(hook).Set(b.Oldest.Seconds())
}

// forget removes the metrics of a deleted hook.
func (m *metrics) forget(hook string) {
	of := prometheus.Labels{"hook": hook}
	m.attempts.DeletePartialMatch(of)
	m.events.Delete(of)
	m.lag.Delete(of)
	m.took.Delete(of)
	m.waiting.Delete(of)
	m.parked.Delete(of)
	m.oldest.Delete(of)
}
