package redisadapter

import (
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Module wants *redisrole.Clients, a [Key] and a *slog.Logger; it provides the node's
// [adapter.Adapter], and the [*Adapter] for its [Adapter.Stats]. The hub starts
// and stops it.
var Module = fx.Module("redisadapter",
	fx.Provide(fx.Annotate(New, fx.As(fx.Self()), fx.As(new(adapter.Adapter)))))
