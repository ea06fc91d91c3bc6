package hook

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// returnsWithin is the time that users get to come back after a node's start, in addition
// to the grace, before presence is checked.
const returnsWithin = 15 * time.Second

// stopTimeout is the part of the program's stop time that this module may use.
const stopTimeout = 5 * time.Second

// Program holds what the embedding program adds.
type Program struct {
	Functions map[string]Func // by the name of the hook
	Presence  map[string]PresenceFunc
	Listed    []Listed // the hooks of the configuration
	Version   string
}

// Module needs a [Config], a [Program], [Definitions], [Positions], a [PresenceStore], a
// [Spreader], [Replays], [Backlogs], [Present], a group.Config and a *slog.Logger. It
// provides [*Dispatcher], [*Recorder] (also as a presence.Observer), [*Service] and
// [*Controller]. It starts and stops the dispatcher and the recorder.
var Module = fx.Module("hook", fx.Provide(
	provideSender, provideDispatcher, provideService, NewController,
	fx.Annotate(provideRecorder, fx.As(fx.Self()), fx.As(new(presence.Observer))),
))

func provideRecorder(lc fx.Lifecycle, store PresenceStore, log *slog.Logger) *Recorder {
	r := NewRecorder(store, log)
	lc.Append(fx.Hook{OnStart: r.Start, OnStop: tasks.Within(stopTimeout, r.Stop)})
	return r
}

func provideSender(lc fx.Lifecycle, cfg Config, p Program) *Sender {
	s := NewSender(cfg, p.Version)
	lc.Append(fx.StopHook(s.Close))
	return s
}

type params struct {
	fx.In

	Lifecycle   fx.Lifecycle
	Program     Program
	Sender      *Sender
	Definitions Definitions
	Positions   Positions
	Spreader    Spreader
	Backlogs    Backlogs
	Presences   PresenceStore
	Recorder    *Recorder
	Present     Present
	Group       group.Config
	Log         *slog.Logger

	Registerer prometheus.Registerer `optional:"true"`
}

func provideDispatcher(p params) (*Dispatcher, error) {
	d := NewDispatcher(Deps{
		Definitions: p.Definitions, Positions: p.Positions, Spreader: p.Spreader, Backlogs: p.Backlogs,
		Sender: p.Sender, Functions: p.Program.Functions, Listed: p.Program.Listed,
		Presences: p.Presences, PresenceFunctions: p.Program.Presence, Recorder: p.Recorder, Present: p.Present,
		Checks: Checks{After: p.Group.WithDefaults().PresenceGrace + returnsWithin}, Log: p.Log,
	})
	if p.Registerer != nil {
		if err := d.Register(p.Registerer); err != nil {
			return nil, err
		}
	}
	p.Lifecycle.Append(fx.Hook{OnStart: d.Start, OnStop: tasks.Within(stopTimeout, d.Stop)})
	return d, nil
}

func provideService(definitions Definitions, replays Replays, s *Sender, d *Dispatcher) *Service {
	return NewService(definitions, replays, s, d.Changed)
}
