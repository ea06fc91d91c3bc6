package group

import (
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// StopTimeout bounds what stopping one part of the module may take of the
// program's time to stop.
const StopTimeout = 5 * time.Second

// Module wants a [Config], a [Repository], a [Log], a [Trimmer], a [Clock], an
// [Announcer], [Senders], a [PresenceKeeper], an *adapter.Hub and a
// *slog.Logger. It provides [*Service], [*Janitor] and [*Scheduler], which it
// starts and stops, and, named [OwnerTag], the module's *adapter.Owner.
var Module = fx.Module("group",
	fx.Provide(
		fx.Annotate(Reserve, fx.ResultTags(OwnerTag)),
		provideJanitor,
		provideScheduler,
		provideService,
	),
	fx.Invoke(func(*Janitor, *Scheduler) {}),
)

// OwnerTag names the module's *adapter.Owner in an fx program. It is for the
// packages of this module.
const OwnerTag = `name:"moim.group"`

func provideJanitor(lc fx.Lifecycle, cfg Config, store Trimmer, log *slog.Logger) *Janitor {
	j := NewJanitor(cfg, store, log)
	lc.Append(fx.Hook{OnStart: j.Start, OnStop: tasks.Within(StopTimeout, j.Stop)})
	return j
}

func provideScheduler(lc fx.Lifecycle, service *Service, clock Clock, log *slog.Logger) *Scheduler {
	s := NewScheduler(service, clock, log)
	lc.Append(fx.Hook{OnStart: s.Start, OnStop: tasks.Within(StopTimeout, s.Stop)})
	return s
}

type serviceParams struct {
	fx.In

	Config     Config
	Repository Repository
	Log        Log
	Announcer  Announcer
	Senders    Senders
	Presence   PresenceKeeper
	Own        *adapter.Owner `name:"moim.group"`
}

func provideService(p serviceParams) *Service {
	return NewService(p.Config, Deps{
		Repository: p.Repository,
		Log:        p.Log,
		Announcer:  p.Announcer,
		Senders:    p.Senders,
		Signaler:   p.Own,
		Presence:   p.Presence,
	})
}
