package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/socket/adapter/nodebridge"
)

func provideMetrics() (*prometheus.Registry, prometheus.Registerer) {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r, r
}

type backendsParams struct {
	fx.In

	Registerer prometheus.Registerer
	Feed       *feed.Feed
	Cache      *cache.Cache
	Presence   *presence.Tracker
	Adapter    *redismove.SocketPart `optional:"true"`
	Bridge     *nodebridge.Bridge    `optional:"true"`
	Group      *redismove.GroupPart  `optional:"true"`
	Tier       *redismove.CachePart  `optional:"true"`
}

// countBackends exports the counters of the [backends] in use.
func countBackends(c backendsParams) {
	show(c.Registerer, "moim_log_reads_total", "Reads of a group's log for sockets that subscribed or missed events.", func() float64 { return float64(c.Feed.Reads()) })
	show(c.Registerer, "moim_cache_local_total", "Records found in this process.", func() float64 { return float64(c.Cache.Stats().Local) })
	show(c.Registerer, "moim_cache_shared_total", "Records found in the cache role's Redis.", func() float64 { return float64(c.Cache.Stats().Shared) })
	show(c.Registerer, "moim_cache_loads_total", "Records read from the database.", func() float64 { return float64(c.Cache.Stats().Loads) })
	if tier := c.Tier; tier != nil {
		show(c.Registerer, "moim_cache_redis_errors_total", "Failed calls to the cache role's Redis.", func() float64 { return float64(tier.Stats().Errors) })
		show(c.Registerer, "moim_cache_redis_skipped_total", "Calls to the cache role's Redis that were not made shortly after a failed one.", func() float64 { return float64(tier.Stats().Skipped) })
		show(c.Registerer, "moim_cache_redis_reconnects_total", "Renewed subscriptions to invalidations.", func() float64 { return float64(tier.Stats().Reconnects) })
		show(c.Registerer, "moim_cache_redis_garbage_total", "Invalid values and messages in the cache role's Redis.", func() float64 { return float64(tier.Stats().Garbage) })
	}
	gauge(c.Registerer, "moim_presence_waiting", "Members whose change of presence is not stored yet.", func() float64 { return float64(c.Presence.Stats().Waiting) })
	show(c.Registerer, "moim_presence_failed_total", "Failed attempts to store changes of presence.", func() float64 { return float64(c.Presence.Stats().Failed) })
	if g := c.Group; g != nil {
		show(c.Registerer, "moim_presence_broken_total", "Values of presence in the group role's Redis that could not be read and were removed.", func() float64 { return float64(g.Broken()) })
	}
	if a := c.Adapter; a != nil {
		show(c.Registerer, "moim_adapter_published_total", "Envelopes that the socket role's Redis accepted.", func() float64 { return float64(a.Stats().Published) })
		show(c.Registerer, "moim_adapter_failed_total", "Envelopes that could not be published.", func() float64 { return float64(a.Stats().Failed) })
		show(c.Registerer, "moim_adapter_received_total", "Envelopes of other nodes.", func() float64 { return float64(a.Stats().Received) })
		show(c.Registerer, "moim_adapter_dropped_total", "Envelopes that arrived late or twice.", func() float64 { return float64(a.Stats().Dropped) })
		show(c.Registerer, "moim_adapter_malformed_total", "Messages on this deployment's channels that are not envelopes.", func() float64 { return float64(a.Stats().Malformed) })
		show(c.Registerer, "moim_adapter_forged_total", "Messages on this deployment's channels without a valid signature.", func() float64 { return float64(a.Stats().Forged) })
		gauge(c.Registerer, "moim_adapter_queued", "Messages that are waiting to be published.", func() float64 { return float64(a.Stats().Queued) })
		gauge(c.Registerer, "moim_adapter_rooms", "Rooms that this node is interested in.", func() float64 { return float64(a.Stats().Rooms) })
		show(c.Registerer, "moim_adapter_reconnects_total", "Renewed subscriptions.", func() float64 { return float64(a.Stats().Reconnects) })
	}
	if b := c.Bridge; b != nil {
		show(c.Registerer, "moim_bridge_published_total", "Messages for Node servers that the socket role's Redis accepted.", func() float64 { return float64(b.Stats().Published) })
		show(c.Registerer, "moim_bridge_failed_total", "Messages for Node servers that could not be published.", func() float64 { return float64(b.Stats().Failed) })
		show(c.Registerer, "moim_bridge_received_total", "Messages of Node servers.", func() float64 { return float64(b.Stats().Received) })
		show(c.Registerer, "moim_bridge_dropped_total", "Messages on the Node servers' channels that are malformed or not allowed.", func() float64 { return float64(b.Stats().Dropped) })
	}
}

func gauge(r prometheus.Registerer, name, help string, value func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func show(r prometheus.Registerer, name, help string, value func() float64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}
