package rediscache

import (
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/cache"
)

// Module needs *redisrole.Clients and a *slog.Logger. It provides the [cache.Tier]
// that the cache starts and stops.
var Module = fx.Module("rediscache",
	fx.Provide(fx.Annotate(New, fx.As(fx.Self()), fx.As(new(cache.Tier)))))
