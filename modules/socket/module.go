package socket

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// stopTimeout bounds what stopping the gateway or the hub may take of the
// program's time to stop.
const stopTimeout = 5 * time.Second

// Module wants a [Config], an [adapter.Adapter], an [Authenticator], a
// *slog.Logger and, optionally, [Origins], a prometheus.Registerer and handlers
// (see [AsHandlers]); it provides [*adapter.Hub], [*Emitter] and [*Gateway], and
// starts and stops the hub and the gateway.
var Module = fx.Module("socket", fx.Provide(provideHub, NewEmitter, provideGateway))

// Origins are the browser origins that may connect; see [Deps].
type Origins []string

// AsHandlers marks constructor f, which returns []Handler, as a source of
// handlers.
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
	Authenticate Authenticator
	Log          *slog.Logger
	Origins      Origins               `optional:"true"`
	Registerer   prometheus.Registerer `optional:"true"`
	Handlers     []Handler             `group:"moim.handlers"`
}

func provideGateway(p gatewayParams) (*Gateway, error) {
	g, err := New(p.Config, Deps{
		Hub:          p.Hub,
		Authenticate: p.Authenticate,
		Origins:      p.Origins,
		Log:          p.Log,
		Registerer:   p.Registerer,
	}, p.Handlers...)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: g.Start, OnStop: tasks.Within(stopTimeout, g.Stop)})
	return g, nil
}
