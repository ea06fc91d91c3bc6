package authorize

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
)

// Module wants a [Config] and a *slog.Logger. It provides a group.Gatekeeper and a
// socket.Gatekeeper, which are nil without a URL.
var Module = fx.Module("authorize", fx.Provide(provide))

type params struct {
	fx.In

	Lifecycle  fx.Lifecycle
	Config     Config
	Log        *slog.Logger
	Registerer prometheus.Registerer `optional:"true"`
}

type gatekeepers struct {
	fx.Out

	Groups  group.Gatekeeper
	Sockets socket.Gatekeeper
}

func provide(p params) (gatekeepers, error) {
	if p.Config.URL == "" {
		return gatekeepers{}, nil
	}
	g, err := New(p.Config, p.Log)
	if err != nil {
		return gatekeepers{}, err
	}
	if p.Registerer != nil {
		if err := g.Register(p.Registerer); err != nil {
			return gatekeepers{}, err
		}
	}
	p.Lifecycle.Append(fx.StopHook(g.Close))
	return gatekeepers{Groups: g, Sockets: g}, nil
}
