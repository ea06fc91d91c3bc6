package presence

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Module needs a group.Config, a [Store], what group.Module provides, a *slog.Logger and,
// optionally, a group.Translator and an [Observer]. It provides [*Tracker], also as a
// group.PresenceKeeper, and [*Marks], also as a group.MarkTeller. It starts and stops both.
var Module = fx.Module("group/presence", fx.Provide(
	fx.Annotate(provide, fx.As(fx.Self()), fx.As(new(group.PresenceKeeper))),
	fx.Annotate(provideMarks, fx.As(new(group.MarkTeller))),
))

type params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    group.Config
	Store     Store
	Own       *adapter.Owner `name:"moim.group"`
	Logger    *slog.Logger
	Program   group.Translator `optional:"true"`
	Observer  Observer         `optional:"true"`
}

func provide(p params) *Tracker {
	t := New(p.Config, p.Store, p.Own, p.Logger)
	t.Translate(p.Program)
	t.Observe(p.Observer)
	p.Lifecycle.Append(fx.Hook{OnStart: t.Start, OnStop: tasks.Within(group.StopTimeout, t.Stop)})
	return t
}

type marksParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    group.Config
	Own       *adapter.Owner `name:"moim.group"`
	Logger    *slog.Logger
}

func provideMarks(p marksParams) *Marks {
	m := NewMarks(p.Config, p.Own, p.Logger)
	p.Lifecycle.Append(fx.Hook{OnStart: m.Start, OnStop: tasks.Within(group.StopTimeout, m.Stop)})
	return m
}
