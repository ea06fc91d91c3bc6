package socket

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// stopTimeout limits the stop of the gateway and that of the hub, so that they do not use
// up the time for the whole program's stop.
const stopTimeout = 5 * time.Second

// Module provides [*adapter.Hub], [*Emitter] and [*Gateway], and starts and stops the hub
// and the gateway. It needs a [Config], an [adapter.Adapter], an [Authenticator] and a
// *slog.Logger. Optional are [Origins], a prometheus.Registerer, a [Bridge], a
// *limit.Limits, *auth.Revocations and handlers (see [AsHandlers]). Handlers use the
// Emitter; modules use the Hub and reserve their names.
var Module = fx.Module("socket", fx.Provide(provideHub, NewEmitter, provideGateway))

// AsHandlers annotates f, a constructor that returns []Handler, so that the gateway uses
// its handlers.
func AsHandlers(f any) any {
	return fx.Annotate(f, fx.ResultTags(`group:"moim.handlers,flatten"`))
}

func provideHub(lifecycle fx.Lifecycle, a adapter.Adapter) *adapter.Hub {
	h := adapter.NewHub(a)
	lifecycle.Append(fx.Hook{OnStart: h.Start, OnStop: tasks.Within(stopTimeout, h.Stop)})
	return h
}

type gatewayParams struct {
	fx.In

	Lifecycle    fx.Lifecycle
	Config       Config
	Hub          *adapter.Hub
	Emitter      *Emitter
	Authenticate Authenticator
	Log          *slog.Logger
	Origins      Origins               `optional:"true"`
	Registerer   prometheus.Registerer `optional:"true"`
	Bridge       Bridge                `optional:"true"`
	Limits       *limit.Limits         `optional:"true"`
	Revocations  *auth.Revocations     `optional:"true"`
	Gatekeeper   Gatekeeper            `optional:"true"`
	Tracer       tracing.Tracer        `optional:"true"`
	Handlers     []Handler             `group:"moim.handlers"`
}

func provideGateway(p gatewayParams) (*Gateway, error) {
	g, err := New(p.Config, Deps{
		Hub:          p.Hub,
		Emitter:      p.Emitter,
		Authenticate: p.Authenticate,
		Origins:      p.Origins,
		Log:          p.Log,
		Registerer:   p.Registerer,
		Bridge:       p.Bridge,
		Limits:       p.Limits,
		Revocations:  p.Revocations,
		Gatekeeper:   p.Gatekeeper,
		Tracer:       p.Tracer,
	}, p.Handlers...)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: g.Start, OnStop: tasks.Within(stopTimeout, g.Stop)})
	return g, nil
}
