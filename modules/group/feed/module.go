package feed

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Module needs a group.Log, a [Watcher], a group.PresenceKeeper, an *adapter.Hub, what
// group.Module provides, a *slog.Logger and, optionally, a group.Translator. It provides
// [*Feed], also as a group.Announcer, group.Senders and group.Audience. It starts and stops
// the feed.
var Module = fx.Module("group/feed", fx.Provide(
	fx.Annotate(provide, fx.As(fx.Self()), fx.As(new(group.Announcer)), fx.As(new(group.Senders)), fx.As(new(group.Audience))),
))

type params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Log       group.Log
	Watcher   Watcher
	Presence  group.PresenceKeeper
	Hub       *adapter.Hub
	Own       *adapter.Owner `name:"moim.group"`
	Logger    *slog.Logger
	Limits    *limit.Limits    `optional:"true"`
	Program   group.Translator `optional:"true"`

	Registerer prometheus.Registerer `optional:"true"`
	Tracer     tracing.Tracer        `optional:"true"`
}

func provide(p params) (*Feed, error) {
	f := New(p.Log, p.Own, p.Watcher, p.Logger)
	if p.Registerer != nil {
		if err := f.Register(p.Registerer); err != nil {
			return nil, fmt.Errorf("feed: register metrics: %w", err)
		}
	}
	f.Trace(p.Tracer)
	f.Translate(p.Program)
	f.Estimate(p.Presence)
	f.Limit(p.Limits.Subscriptions())
	p.Own.Intercept(group.EventPushed, f.Receive)
	p.Hub.OnLost(f.Lost)
	p.Lifecycle.Append(fx.Hook{OnStart: f.Start, OnStop: tasks.Within(group.StopTimeout, f.Stop)})
	return f, nil
}
