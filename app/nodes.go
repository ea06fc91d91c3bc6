package app

import (
	"math"
	"time"

	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/socket"
)

// reportNode tells the other nodes how this one is, when they ask.
func reportNode(out *socket.Emitter, gateway *socket.Gateway, f *feed.Feed, cfg socket.Config, v version) {
	began := time.Now()
	out.Report(func() any {
		stats := f.Stats()
		return api.Node{
			ID: out.NodeID(), Version: string(v), URL: cfg.NodeURL, Uptime: int64(time.Since(began).Seconds()),
			Sockets: gateway.Len(), Groups: stats.Groups, EventsPerSecond: math.Round(stats.EventsPerSecond*10) / 10,
			Lateness: stats.Lateness.Seconds() * 1000,
		}
	})
}
