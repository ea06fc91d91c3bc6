package group

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// stopTimeout bounds what stopping the feed may take of the program's time to
// stop.
const stopTimeout = 5 * time.Second

// Module wants a [Config], a [Repository], a [Log], an [*adapter.Hub], a
// [*socket.Emitter], a *slog.Logger and, optionally, a [Watcher] and a
// [PresenceReader]; it provides [*Feed], which it starts and stops, [*Service],
// [*Gateway] with its handlers, and [*Controller].
var Module = fx.Module("group", fx.Provide(
	provideFeed,
	provideService,
	provideController,
	NewGateway,
	socket.AsHandlers((*Gateway).Handlers),
))

type feedParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Log       Log
	Hub       *adapter.Hub
	Emitter   *socket.Emitter
	Watcher   Watcher `optional:"true"`
	Logger    *slog.Logger
}

func provideFeed(p feedParams) *Feed {
	f := NewFeed(p.Log, p.Emitter, p.Watcher, p.Logger)
	p.Hub.Intercept(eventPushed, f.Receive)
	p.Hub.OnLost(f.Lost)
	p.Lifecycle.Append(fx.Hook{OnStart: f.Start, OnStop: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return f.Stop(ctx)
	}})
	return f
}

type serviceParams struct {
	fx.In

	Config     Config
	Repository Repository
	Log        Log
	Feed       *Feed
	Emitter    *socket.Emitter
	Presence   PresenceReader `optional:"true"`
}

func provideService(p serviceParams) *Service {
	return NewService(p.Config, Deps{
		Repository: p.Repository,
		Log:        p.Log,
		Announcer:  p.Feed,
		Signaler:   p.Emitter,
		Presence:   p.Presence,
	})
}

func provideController(s *Service, out *socket.Emitter) *Controller { return NewController(s, out) }
