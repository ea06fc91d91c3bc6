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

// drainWithin is how long what is still on its way may take to arrive.
const drainWithin = 10 * time.Second

// The large room's clients stand for machines elsewhere. So that thousands of
// them leave the server as much of this one as they can, they read a hundred times a
// second and yield to all other programs.
const (
	largeReads = 10 * time.Millisecond
	largeNice  = 19
)

// beside is what else was measured where a large room was busy.
type beside struct {
	quiet      figures // of the small rooms while the large one was silent
	large      figures // of the large room
	returned   float64 // its clients that came back, a second
	away       float64 // its clients that were not subscribed at the end
	processors float64 // that the server kept busy
	machine    float64 // part of all processors that was in use, whatever by
}

// added99 is what the large room added to the small rooms' p99.
func (f figures) added99() time.Duration { return f.p99 - f.beside.quiet.p99 }

// largePlan is the large room's clients, which come and go.
func (e *entrant) largePlan() load.Plan {
	plan := load.Plan{Heartbeats: e.cluster.Heartbeats, AtOnce: opening, ReadEvery: largeReads}
	for member := range e.row.need.Large {
		addr := e.cluster.Addrs[member%e.row.need.Nodes]
		plan.Sessions = append(plan.Sessions, e.cluster.Resumable(addr, e.row.need.Rooms, member))
	}
	return plan
}

// isolate measures the small rooms twice: while the large room is silent, and
// while it is busy.
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

// besideLarge measures the small rooms while messages flow in the large one and
// its clients come and go. The caller ends both.
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

// drain waits until the large room's messages have all arrived, so that they do
// not count in what is measured next.
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
