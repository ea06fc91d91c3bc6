package authorize

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
)

// Program holds what the embedding program adds.
type Program struct {
	Function Func // may be nil
}

// Module needs a [Config], a [Program] and a *slog.Logger. It provides a group.Gatekeeper
// and a socket.Gatekeeper. Both are nil if there is neither a URL nor a function.
var Module = fx.Module("authorize", fx.Provide(provide))

type params struct {
	fx.In

	Lifecycle  fx.Lifecycle
	Config     Config
	Program    Program
	Log        *slog.Logger
	Registerer prometheus.Registerer `optional:"true"`
}

type gatekeepers struct {
	fx.Out

	Groups  group.Gatekeeper
	Sockets socket.Gatekeeper
}

func provide(p params) (gatekeepers, error) {
	if p.Config.URL == "" && p.Program.Function == nil {
		return gatekeepers{}, nil
	}
	g, err := open(p.Config, p.Program.Function, p.Log)
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

func open(cfg Config, fn Func, log *slog.Logger) (*Gatekeeper, error) {
	switch {
	case fn == nil:
		return New(cfg, log)
	case cfg.URL != "":
		return nil, errors.New("authorize.url: the program has a function that is asked instead; use one of them")
	}
	return NewOf(cfg, fn, log)
}
