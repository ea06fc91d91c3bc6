package cache

import (
	"log/slog"

	"go.uber.org/fx"
)

// Module needs a [Config], a *slog.Logger and, optionally, a [Tier]. It provides
// [*Cache], and starts and stops it.
var Module = fx.Module("cache", fx.Provide(provideCache))

type cacheParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    Config
	Tier      Tier `optional:"true"`
	Log       *slog.Logger
}

func provideCache(p cacheParams) (*Cache, error) {
	c, err := New(p.Config, p.Tier, p.Log)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.Hook{OnStart: c.Start, OnStop: c.Stop})
	return c, nil
}
