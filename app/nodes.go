package app

import (
	"context"
	"math"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/console"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

type reportParams struct {
	fx.In

	Out     *socket.Emitter
	Gateway *socket.Gateway
	Feed    *feed.Feed
	Health  *web.Health
	Mover   *redismove.Mover
	History *console.History
	Socket  socket.Config
	Version version
}

// detailed is a node's report for the console.
type detailed struct {
	api.Node
	console.Details
}

// reportNode registers this node's report for other nodes.
func reportNode(p reportParams) {
	began := time.Now()
	p.Out.Report(func(inDetail bool) any {
		stats, used := p.Feed.Stats(), p.History.Last()
		node := api.Node{
			ID: p.Out.NodeID(), Version: string(p.Version), URL: p.Socket.NodeURL, Uptime: int64(time.Since(began).Seconds()),
			Sockets: p.Gateway.Len(), Groups: stats.Groups, EventsPerSecond: math.Round(stats.EventsPerSecond*10) / 10,
			Lateness: stats.Lateness.Seconds() * 1000, CPU: used.CPU, Memory: int64(used.Memory),
		}
		if !inDetail {
			return node
		}
		return detailed{Node: node, Details: console.Details{
			Samples: p.History.Samples(), Dependencies: p.dependencies(),
		}}
	})
}

// dependencies returns the dependencies of this node, with the results of the checks of
// /readyz.
func (p reportParams) dependencies() []console.Dependency {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	found := make([]console.Dependency, 0, 8)
	for name, check := range p.Health.Report(ctx).Checks {
		d := console.Dependency{Name: name, Up: check.Status == "up", Required: check.Required, Milliseconds: check.LatencyMs, Error: check.Error}
		for _, role := range redisrole.Roles() {
			if name != redisCheck(role) {
				continue
			}
			state := p.Mover.State(role)
			if d.Where = state.Where; d.Where == "" {
				d.Where = "in this process"
				continue
			}
			d.Phase = state.Phase.String()
		}
		found = append(found, d)
	}
	return found
}

// provideHistory provides a history that samples this node.
func provideHistory(lc fx.Lifecycle, gateway *socket.Gateway, f *feed.Feed) *console.History {
	h := console.NewHistory(func() console.Measured {
		stats := f.Stats()
		return console.Measured{
			Sockets: gateway.Len(), Events: stats.EventsPerSecond, Lateness: stats.Lateness.Seconds() * 1000, Deliveries: gateway.Frames(),
		}
	})
	lc.Append(fx.Hook{OnStart: h.Start, OnStop: h.Stop})
	return h
}
