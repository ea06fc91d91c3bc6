package authorize

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a question.
const (
	allowed    = "allowed"
	refused    = "refused"
	remembered = "remembered" // answered from memory
	failed     = "failed"     // no usable answer
	suspended  = "suspended"  // not asked, because several questions in a row failed
)

type metrics struct {
	questions *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moim_authorize_questions_total", Help: "Questions about users to the application's back end; result is allowed, refused, remembered, failed or suspended.",
		}, []string{"event", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moim_authorize_seconds", Help: "How long the application's back end took to answer, or to fail, with the wait until it was asked.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2, 2.5},
		}, []string{"event"}),
	}
}

// Register adds the metrics to r.
func (g *Gatekeeper) Register(r prometheus.Registerer) error {
	return errors.Join(r.Register(g.metrics.questions), r.Register(g.metrics.seconds))
}

func (m *metrics) count(event, result string) { m.questions.WithLabelValues(event, result).Inc() }

func (m *metrics) took(event string, d time.Duration) {
	m.seconds.WithLabelValues(event).Observe(d.Seconds())
}
