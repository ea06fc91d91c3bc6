package socket

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// metrics counts what a gateway does. No label names a user, a group or what
// else a client chooses: events are those with handlers, or "unknown".
type metrics struct {
	sockets *prometheus.GaugeVec     // by endpoint
	refused *prometheus.CounterVec   // by outcome
	ended   *prometheus.CounterVec   // by reason
	events  *prometheus.CounterVec   // by event and outcome
	seconds *prometheus.HistogramVec // by event
}

// newMetrics registers the metrics and those of the engine and the hub; with a
// nil registerer they are only counted.
func newMetrics(registerer prometheus.Registerer, stats func() engine.Stats, hub *adapter.Hub) (*metrics, error) {
	m := &metrics{
		sockets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "moim_sockets", Help: "Sockets connected to this node.",
		}, []string{"endpoint"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moim_socket_refused_total", Help: "Clients that were not let in; outcome is refused or failed.",
		}, []string{"outcome"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moim_socket_ended_total", Help: "Sockets that ended, by reason.",
		}, []string{"reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moim_socket_events_total", Help: "Events from clients; outcome is ok, refused or failed.",
		}, []string{"event", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moim_socket_event_seconds", Help: "How long handlers took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"event"}),
	}
	if registerer == nil {
		return m, nil
	}
	overflow := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "moim_socket_overflow_total", Help: "Signals and presence of other nodes that were dropped: too many waited for their room.",
	}, func() float64 { return float64(hub.Overflow()) })
	collectors := append(engineMetrics(stats), m.sockets, m.refused, m.ended, m.events, m.seconds, overflow)
	for _, c := range collectors {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("socket: register metrics: %w", err)
		}
	}
	return m, nil
}

// engineMetrics shows the engine's own counters.
func engineMetrics(stats func() engine.Stats) []prometheus.Collector {
	counter := func(name, help string, value func(engine.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(stats())) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moim_socket_connections", Help: "Connections open on this node, also those that are not let in yet.",
		}, func() float64 { return float64(stats().Connections) }),
		counter("moim_socket_accepted_total", "Connections that were accepted.",
			func(s engine.Stats) int64 { return s.Accepted }),
		counter("moim_socket_slow_consumers_total", "Connections that were closed for their backlog.",
			func(s engine.Stats) int64 { return s.SlowConsumers }),
		counter("moim_socket_frames_total", "Frames written to connections.",
			func(s engine.Stats) int64 { return s.Frames }),
		counter("moim_socket_bytes_total", "Bytes written to connections.",
			func(s engine.Stats) int64 { return s.Bytes }),
		counter("moim_socket_writes_total", "System calls that wrote them.",
			func(s engine.Stats) int64 { return s.Writes }),
	}
}

func (m *metrics) connect(endpoint string) { m.sockets.WithLabelValues(endpoint).Inc() }

func (m *metrics) disconnect(endpoint string, reason engine.Reason) {
	m.sockets.WithLabelValues(endpoint).Dec()
	m.ended.WithLabelValues(reason.String()).Inc()
}

func (m *metrics) refuse(f *fault.Error) { m.refused.WithLabelValues(outcome(f)).Inc() }

func (m *metrics) event(event string, f *fault.Error, took time.Duration) {
	m.events.WithLabelValues(event, outcome(f)).Inc()
	m.seconds.WithLabelValues(event).Observe(took.Seconds())
}

// outcome tells who is at fault.
func outcome(f *fault.Error) string {
	switch {
	case f == nil:
		return "ok"
	case f.Kind == fault.Internal || f.Kind == fault.Unavailable:
		return "failed"
	default:
		return "refused"
	}
}
