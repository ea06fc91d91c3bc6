package socket

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/recovery"
)

// metrics are the metrics of a gateway. Their labels never contain values that clients
// choose: an event without a handler counts as "unknown".
type metrics struct {
	sockets *prometheus.GaugeVec     // by endpoint
	refused *prometheus.CounterVec   // by outcome
	ended   *prometheus.CounterVec   // by reason
	events  *prometheus.CounterVec   // by event and outcome
	seconds *prometheus.HistogramVec // by event

	recovered prometheus.Counter
}

// newMetrics registers the metrics of the gateway, the engine and the hub. registerer
// may be nil.
func newMetrics(registerer prometheus.Registerer, stats func() engine.Stats, hub *adapter.Hub, r *recovery.Store) (*metrics, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		sockets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "moim_sockets", Help: "Sockets connected to this node.",
		}, []string{"endpoint"}),
		refused: vec("moim_socket_refused_total", "Clients that were not admitted; outcome is refused or failed.", "outcome"),
		ended:   vec("moim_socket_ended_total", "Sockets that ended, by reason.", "reason"),
		events:  vec("moim_socket_events_total", "Events from clients; outcome is ok, refused or failed.", "event", "outcome"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moim_socket_event_seconds", Help: "How long handlers took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"event"}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "moim_socket_recovered_total", Help: "Clients that came back with the state of their connection.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	counter := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	for _, c := range []prometheus.Collector{
		m.sockets, m.refused, m.ended, m.events, m.seconds, m.recovered,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moim_socket_parked", Help: "Sockets whose clients may come back.",
		}, r.Parked),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "moim_socket_connections", Help: "Connections open on this node, including those not admitted yet.",
		}, func() float64 { return float64(stats().Connections) }),
		counter("moim_socket_accepted_total", "Connections that were accepted.", func() int64 { return stats().Accepted }),
		counter("moim_socket_slow_consumers_total", "Connections that were closed for their backlog.", func() int64 { return stats().SlowConsumers }),
		counter("moim_signals_dropped_total", "Signals and presence that were dropped for sockets with a long queue.", func() int64 { return stats().Dropped }),
		counter("moim_socket_frames_total", "Frames written to connections.", func() int64 { return stats().Frames }),
		counter("moim_socket_bytes_total", "Bytes written to connections.", func() int64 { return stats().Bytes }),
		counter("moim_socket_writes_total", "System calls that wrote them.", func() int64 { return stats().Writes }),
		counter("moim_socket_overflow_total", "Signals and presence from other nodes dropped because the queue of a large room was full.", hub.Overflow),
	} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("socket: register metrics: %w", err)
		}
	}
	return m, nil
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

// outcome classifies a result: a failure of the server is "failed", any other
// "refused".
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
