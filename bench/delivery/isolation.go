//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/process"
)

// drainWithin is the time in which outstanding messages must arrive.
const drainWithin = 10 * time.Second

// The large room's clients represent machines elsewhere. Thousands of them must leave this
// machine's processors to the server, so they read only a hundred times a second and have a
// low priority.
const (
	largeReads = 10 * time.Millisecond
	largeNice  = 19
)

// beside are additional results for a busy large room.
type beside struct {
	quiet      figures // of the small rooms, while the large one is silent
	large      figures // of the large room
	returned   float64 // clients of the large room that came back, per second
	away       float64 // clients of the large room that were not subscribed at the end
	processors float64 // number of processors that the server kept busy
	machine    float64 // part of all processors that was in use
}

// added99 returns by how much the large room increased the p99 of the small rooms.
func (f figures) added99() time.Duration { return f.p99 - f.beside.quiet.p99 }

// largePlan returns the plan for the large room's clients, which come and go.
func (e *entrant) largePlan() load.Plan {
	plan := load.Plan{Heartbeats: e.cluster.Heartbeats, AtOnce: opening, ReadEvery: largeReads}
	for member := range e.row.need.Large {
		addr := e.cluster.Addrs[member%e.row.need.Nodes]
		plan.Sessions = append(plan.Sessions, e.cluster.Resumable(addr, e.row.need.Rooms, member))
	}
	return plan
}

// isolate measures the small rooms twice: while the large room is silent, and while it is
// busy.
func (e *entrant) isolate(ctx context.Context, small *publisher, warmUp time.Duration) (figures, error) {
	quiet, err := e.window(ctx, small, warmUp)
	if err != nil {
		return figures{}, err
	}
	large, err := startPublisher(ctx, e.cluster, e.traffic(e.row.need.Rooms, 1, e.row.large.rate))
	if err != nil {
		return figures{}, err
	}
	f, err := e.besideLarge(ctx, small, large, warmUp)
	if err = errors.Join(err, large.stop(), e.large.Churn(load.Churn{})); err != nil {
		return figures{}, err
	}
	f.beside.quiet = quiet
	return f, e.drain(ctx)
}

// besideLarge measures the small rooms while messages are sent in the large room and its
// clients come and go. The caller ends both.
func (e *entrant) besideLarge(ctx context.Context, small, large *publisher, warmUp time.Duration) (f figures, err error) {
	if err := e.large.Churn(e.row.large.churn); err != nil {
		return f, err
	}
	if err := pause(ctx, warmUp); err != nil {
		return f, err
	}
	machine, err := process.Machine()
	if err != nil {
		return f, err
	}
	if err := e.large.Reset(); err != nil {
		return f, err
	}
	began, posted := time.Now(), large.posted.Load()
	if f, err = e.window(ctx, small, 0); err != nil {
		return f, err
	}
	posted = large.posted.Load() - posted
	counts, err := e.large.Read()
	if err != nil {
		return f, err
	}
	after, err := process.Machine()
	if err != nil {
		return f, err
	}
	took := time.Since(began).Seconds()
	if counts.Messages == 0 || posted == 0 {
		return f, fmt.Errorf("%d messages were posted to the large room and %d delivered", posted, counts.Messages)
	}
	f.beside = &beside{
		large: figures{
			p50: counts.P50, p99: counts.P99, lost: counts.Lost,
			delivered: float64(counts.Messages) / took, posted: float64(posted) / took,
			whole: float64(counts.Messages) / float64(posted*int64(e.row.need.Large)),
		},
		returned: float64(counts.Subscribed) / took, away: float64(counts.Away),
		processors: f.use.Total().Seconds() / took, machine: after.Since(machine).Busy(),
	}
	f.beside.large.spent(nil, counts.Messages)
	return f, nil
}

// drain waits until all messages of the large room have arrived, so that they do not affect
// the next measurement.
func (e *entrant) drain(ctx context.Context) error {
	for deadline, last := time.Now().Add(drainWithin), int64(-1); time.Now().Before(deadline); {
		counts, err := e.large.Read()
		if err != nil || counts.Messages == last {
			return err
		}
		last = counts.Messages
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func mergeBeside(turns []figures) *beside {
	var quiet, large []figures
	for _, f := range turns {
		quiet, large = append(quiet, f.beside.quiet), append(large, f.beside.large)
	}
	return &beside{
		quiet: merge(quiet), large: merge(large),
		returned:   middle(turns, func(f figures) float64 { return f.beside.returned }),
		away:       middle(turns, func(f figures) float64 { return f.beside.away }),
		processors: middle(turns, func(f figures) float64 { return f.beside.processors }),
		machine:    middle(turns, func(f figures) float64 { return f.beside.machine }),
	}
}
