package presence

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Module wants a group.Config, a [Store], what group.Module provides, a
// *slog.Logger and, optionally, a group.Translator. It provides [*Tracker],
// which it starts and stops, also as a group.PresenceKeeper.
var Module = fx.Module("group/presence", fx.Provide(
	fx.Annotate(provide, fx.As(fx.Self()), fx.As(new(group.PresenceKeeper))),
))

type params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    group.Config
	Store     Store
	Own       *adapter.Owner `name:"moim.group"`
	Logger    *slog.Logger
	Program   group.Translator `optional:"true"`
}

func provide(p params) *Tracker {
	t := New(p.Config, p.Store, p.Own, p.Logger)
	t.Translate(p.Program)
	p.Lifecycle.Append(fx.Hook{OnStart: t.Start, OnStop: tasks.Within(group.StopTimeout, t.Stop)})
	return t
}
