package redispresence

import (
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/group"
)

// Module wants *redisrole.Clients and a *slog.Logger; it provides the node's
// [group.PresenceStore], which the presence starts and stops.
var Module = fx.Module("redispresence",
	fx.Provide(fx.Annotate(New, fx.As(new(group.PresenceStore)))))
