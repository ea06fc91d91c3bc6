package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/modules/web"
)

// scrapeTimeout limits how long a scrape waits for the checks.
const scrapeTimeout = 2 * time.Second

var (
	dependencyUp = prometheus.NewDesc("moim_dependency_up",
		"Whether a dependency in /readyz answers: 1 or 0.", []string{"dependency"}, nil)
	dependencyLatency = prometheus.NewDesc("moim_dependency_latency_seconds",
		"Time that the last check of a dependency took.", []string{"dependency"}, nil)
)

// dependencyMetrics exports the checks of /readyz under the same names.
type dependencyMetrics struct{ health *web.Health }

// Describe implements prometheus.Collector.
func (dependencyMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- dependencyUp
	descs <- dependencyLatency
}

// Collect implements prometheus.Collector.
func (m dependencyMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for name, check := range m.health.Report(ctx).Checks {
		up := 0.0
		if check.Status == "up" {
			up = 1
		}
		metrics <- prometheus.MustNewConstMetric(dependencyUp, prometheus.GaugeValue, up, name)
		metrics <- prometheus.MustNewConstMetric(dependencyLatency, prometheus.GaugeValue, check.LatencyMs/1000, name)
	}
}
