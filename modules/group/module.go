package group

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// stopTimeout bounds what stopping one part may take of the program's time to
// stop.
const stopTimeout = 5 * time.Second

// Module wants a [Config], a [Repository], a [Log], a [Trimmer], a [Clock], a
// [PresenceStore], an [*adapter.Hub], a [*socket.Emitter], a *slog.Logger and,
// optionally, a [Translator]; it provides [*Presence], [*Feed], [*Janitor] and
// [*Scheduler], which it starts and stops, [*Service], [*Gateway] with its
// handlers, and [*Controller].
var Module = fx.Module("group", fx.Invoke(func(*Janitor, *Scheduler) {}), fx.Provide(Reserve, fx.Private), fx.Provide(
	providePresence,
	provideFeed,
	provideJanitor,
	provideScheduler,
	provideService,
	provideController,
	NewGateway,
	socket.AsHandlers((*Gateway).Handlers),
))

type presenceParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    Config
	Store     PresenceStore
	Own       *adapter.Owner
	Logger    *slog.Logger
	Program   Translator `optional:"true"`
}

func providePresence(p presenceParams) *Presence {
	presence := NewPresence(p.Config, p.Store, p.Own, p.Logger)
	presence.Translate(p.Program)
	p.Lifecycle.Append(fx.Hook{OnStart: presence.Start, OnStop: bounded(presence.Stop)})
	return presence
}

type feedParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Log       Log
	Hub       *adapter.Hub
	Own       *adapter.Owner
	Presence  *Presence
	Logger    *slog.Logger
	Program   Translator `optional:"true"`
}

func provideFeed(p feedParams) *Feed {
	f := NewFeed(p.Log, p.Own, p.Presence, p.Logger)
	f.Translate(p.Program)
	p.Own.Intercept(eventPushed, f.Receive)
	p.Hub.OnLost(f.Lost)
	p.Lifecycle.Append(fx.Hook{OnStart: f.Start, OnStop: bounded(f.Stop)})
	return f
}

func provideJanitor(lc fx.Lifecycle, cfg Config, store Trimmer, log *slog.Logger) *Janitor {
	j := NewJanitor(cfg, store, log)
	lc.Append(fx.Hook{OnStart: j.Start, OnStop: bounded(j.Stop)})
	return j
}

func provideScheduler(lc fx.Lifecycle, service *Service, clock Clock, log *slog.Logger) *Scheduler {
	s := NewScheduler(service, clock, log)
	lc.Append(fx.Hook{OnStart: s.Start, OnStop: bounded(s.Stop)})
	return s
}

// bounded leaves time for the hooks that come after stop.
func bounded(stop func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return stop(ctx)
	}
}

type serviceParams struct {
	fx.In

	Config     Config
	Repository Repository
	Log        Log
	Feed       *Feed
	Own        *adapter.Owner
	Presence   *Presence
}

func provideService(p serviceParams) *Service {
	return NewService(p.Config, Deps{
		Repository: p.Repository,
		Log:        p.Log,
		Announcer:  p.Feed,
		Senders:    p.Feed,
		Signaler:   p.Own,
		Presence:   p.Presence,
	})
}

func provideController(s *Service, out *socket.Emitter) *Controller { return NewController(s, out) }
