package upkeep

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

// Module starts and stops a [Janitor], a [Scheduler], a [Renamer] and an [Eraser]. It needs
// a [group.Config], an [audit.Config], a [*group.Service], a [Trimmer], a [Clock],
// [Renames], [Erasures], an [Elsewhere] and a *slog.Logger.
var Module = fx.Module("group.upkeep", fx.Invoke(runJanitor, runScheduler, runRenamer, runEraser))

func runJanitor(lc fx.Lifecycle, cfg group.Config, keep audit.Config, store Trimmer, log *slog.Logger) {
	j := NewJanitor(cfg, keep, store, log)
	lc.Append(fx.Hook{OnStart: j.Start, OnStop: tasks.Within(group.StopTimeout, j.Stop)})
}

func runScheduler(lc fx.Lifecycle, service *group.Service, clock Clock, log *slog.Logger) {
	s := NewScheduler(service, clock, log)
	lc.Append(fx.Hook{OnStart: s.Start, OnStop: tasks.Within(group.StopTimeout, s.Stop)})
}

func runRenamer(lc fx.Lifecycle, service *group.Service, jobs Renames, log *slog.Logger) {
	r := NewRenamer(service, jobs, log)
	lc.Append(fx.Hook{OnStart: r.Start, OnStop: tasks.Within(group.StopTimeout, r.Stop)})
}

func runEraser(lc fx.Lifecycle, service *group.Service, jobs Erasures, out Elsewhere, log *slog.Logger) {
	e := NewEraser(service, jobs, out, log)
	lc.Append(fx.Hook{OnStart: e.Start, OnStop: tasks.Within(group.StopTimeout, e.Stop)})
}
