package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

func provideMetrics() (*prometheus.Registry, prometheus.Registerer) {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r, r
}

type counted struct {
	fx.In

	Registerer prometheus.Registerer
	Feed       *feed.Feed
	Cache      *cache.Cache
	Presence   *presence.Tracker
	Adapter    *redisadapter.Adapter `optional:"true"`
	Tier       *redismove.CachePart  `optional:"true"`
}

// countBackends shows the counters of what was chosen by [backends].
func countBackends(c counted) {
	show(c.Registerer, "moim_log_reads_total", "Reads of a group's log for sockets that subscribed or lacked events.", func() float64 { return float64(c.Feed.Reads()) })
	show(c.Registerer, "moim_cache_local_total", "Records found in this process.", func() float64 { return float64(c.Cache.Stats().Local) })
	show(c.Registerer, "moim_cache_shared_total", "Records found in the cache role's Redis.", func() float64 { return float64(c.Cache.Stats().Shared) })
	show(c.Registerer, "moim_cache_loads_total", "Records read from the database.", func() float64 { return float64(c.Cache.Stats().Loads) })
	if tier := c.Tier; tier != nil {
		show(c.Registerer, "moim_cache_redis_errors_total", "Calls to the cache role's Redis that failed.", func() float64 { return float64(tier.Stats().Errors) })
		show(c.Registerer, "moim_cache_redis_skipped_total", "Calls that were not made, shortly after one failed.", func() float64 { return float64(tier.Stats().Skipped) })
		show(c.Registerer, "moim_cache_redis_reconnects_total", "Lost subscriptions to invalidations that were replaced.", func() float64 { return float64(tier.Stats().Reconnects) })
		show(c.Registerer, "moim_cache_redis_garbage_total", "Values and messages there that are none of ours.", func() float64 { return float64(tier.Stats().Garbage) })
	}
	gauge(c.Registerer, "moim_presence_waiting", "Members of whom the store of presence is still to be told.", func() float64 { return float64(c.Presence.Stats().Waiting) })
	show(c.Registerer, "moim_presence_failed_total", "Times that it did not take what it was told.", func() float64 { return float64(c.Presence.Stats().Failed) })
	if a := c.Adapter; a != nil {
		show(c.Registerer, "moim_adapter_published_total", "Envelopes that the socket role's Redis took.", func() float64 { return float64(a.Stats().Published) })
		show(c.Registerer, "moim_adapter_failed_total", "Envelopes that could not be published.", func() float64 { return float64(a.Stats().Failed) })
		show(c.Registerer, "moim_adapter_received_total", "Envelopes of other nodes.", func() float64 { return float64(a.Stats().Received) })
		show(c.Registerer, "moim_adapter_dropped_total", "Envelopes that came late or twice.", func() float64 { return float64(a.Stats().Dropped) })
		show(c.Registerer, "moim_adapter_malformed_total", "Messages on our channels that are no envelopes.", func() float64 { return float64(a.Stats().Malformed) })
		show(c.Registerer, "moim_adapter_forged_total", "Messages on our channels that are not signed with our key.", func() float64 { return float64(a.Stats().Forged) })
		gauge(c.Registerer, "moim_adapter_queued", "Messages that wait to be published.", func() float64 { return float64(a.Stats().Queued) })
		gauge(c.Registerer, "moim_adapter_rooms", "Rooms that this node is interested in.", func() float64 { return float64(a.Stats().Rooms) })
		show(c.Registerer, "moim_adapter_reconnects_total", "Lost subscriptions that were replaced.", func() float64 { return float64(a.Stats().Reconnects) })
	}
}

func gauge(r prometheus.Registerer, name, help string, value func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func show(r prometheus.Registerer, name, help string, value func() float64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}
