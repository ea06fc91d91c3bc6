package limit

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
)

// Module provides [*Limits]. It needs a [Config] and a *slog.Logger. A [Census] and a
// prometheus.Registerer are optional.
var Module = fx.Module("limit", fx.Provide(provide))

type params struct {
	fx.In

	Config     Config
	Log        *slog.Logger
	Census     Census                `optional:"true"`
	Registerer prometheus.Registerer `optional:"true"`
}

func provide(p params) (*Limits, error) {
	return New(p.Config, Deps{Census: p.Census, Registerer: p.Registerer, Log: p.Log})
}
