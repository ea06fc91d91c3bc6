//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// loadRole is the argument with which this program is the load generator.
const loadRole = "load"

// opening is the number of connections that are opened at the same time.
const opening = 64

// times are the durations of the steps of a measurement.
type times struct {
	warmUp, measure, settle time.Duration
}

// entrant is a running server that is measured in one row.
type entrant struct {
	on        *host.Host
	cluster   *peers.Cluster
	generator *load.Generator
	large     *load.Generator // for the large room, if the row has one
	row       row
	times     times
}

// enter starts a server for a row, without clients.
func enter(ctx context.Context, peer peers.Peer, r row, t times) (_ *entrant, err error) {
	e := &entrant{on: host.New(ctx), row: r, times: t}
	defer func() {
		if err != nil {
			e.leave()
		}
	}()
	if e.cluster, err = peer.Start(ctx, e.on, r.need); err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if e.generator, err = load.Start(0, program, loadRole); err != nil {
		return nil, err
	}
	if r.need.Large > 0 {
		e.large, err = load.Start(largeNice, program, loadRole)
	}
	return e, err
}

// leave stops everything that enter started.
func (e *entrant) leave() {
	for _, generator := range []*load.Generator{e.generator, e.large} {
		if generator != nil {
			_ = generator.Close()
		}
	}
	e.on.Close()
}

// plan distributes each room's members over the nodes.
func (e *entrant) plan() load.Plan {
	plan := load.Plan{Heartbeats: e.cluster.Heartbeats, AtOnce: opening, Stamped: e.row.kind == isolating}
	for room := range e.row.need.Rooms {
		for member := range e.row.need.Members {
			addr := e.cluster.Addrs[(room+member)%e.row.need.Nodes]
			plan.Sessions = append(plan.Sessions, e.cluster.Session(addr, room, member))
		}
	}
	return plan
}

// fill opens all connections.
func (e *entrant) fill() error {
	if err := e.generator.Open(e.plan()); err != nil || e.large == nil {
		return err
	}
	return e.large.Open(e.largePlan())
}

// turn sends messages, and measures after the warm-up.
func (e *entrant) turn(ctx context.Context, warmUp time.Duration) (figures, error) {
	publisher, err := startPublisher(ctx, e.cluster, e.traffic(0, e.row.need.Rooms, e.row.rate))
	if err != nil {
		return figures{}, err
	}
	var f figures
	if e.row.kind == isolating {
		f, err = e.isolate(ctx, publisher, warmUp)
	} else {
		f, err = e.window(ctx, publisher, warmUp)
	}
	if stopped := publisher.stop(); err == nil {
		err = stopped
	}
	return f, err
}

// traffic returns the traffic for some of the rooms.
func (e *entrant) traffic(first, rooms, rate int) traffic {
	return traffic{addrs: e.cluster.Addrs[:e.row.need.Nodes], first: first, rooms: rooms, rate: rate}
}

// window measures the cost and the latency of one publisher's messages.
func (e *entrant) window(ctx context.Context, publisher *publisher, warmUp time.Duration) (f figures, err error) {
	if err := pause(ctx, warmUp); err != nil {
		return f, err
	}
	before, err := e.look(ctx, publisher)
	if err != nil {
		return f, err
	}
	if err := e.generator.Reset(); err != nil {
		return f, err
	}
	if err := pause(ctx, e.times.measure); err != nil {
		return f, err
	}
	counts, err := e.generator.Read()
	if err != nil {
		return f, err
	}
	after, err := e.look(ctx, publisher)
	if err != nil {
		return f, err
	}
	posted, took := after.posted-before.posted, after.at.Sub(before.at).Seconds()
	if counts.Messages == 0 || posted == 0 {
		return f, fmt.Errorf("%d messages were posted and %d delivered", posted, counts.Messages)
	}
	f = figures{
		config: e.cluster.Config, p50: counts.P50, p99: counts.P99, lost: counts.Lost,
		delivered: float64(counts.Messages) / took, posted: float64(posted) / took,
		whole:    float64(counts.Messages) / float64(posted*int64(e.row.need.Members)),
		received: (after.received - before.received) / took, read: float64(after.read-before.read) / took,
	}
	f.spent(after.used.Since(before.used), counts.Messages)
	return f, nil
}

// look is a measurement at one moment.
type look struct {
	at       time.Time
	used     host.Use
	posted   int64
	received float64 // messages received by the idle node
	read     int64   // bytes read by the idle node
}

func (e *entrant) look(ctx context.Context, publisher *publisher) (l look, err error) {
	if e.row.kind == idling {
		node := e.row.need.Nodes
		if l.received, err = metric(ctx, e.cluster.Addrs[node], "moim_adapter_received_total"); err != nil {
			return l, err
		}
		if l.read, err = host.Read(e.cluster.PIDs[node]); err != nil {
			return l, err
		}
	}
	l.used, err = e.on.Used()
	l.at, l.posted = time.Now(), publisher.posted.Load()
	return l, err
}

// connect measures the cost of connecting, and the memory of connections.
func (e *entrant) connect(ctx context.Context) (f figures, err error) {
	if err := pause(ctx, e.times.warmUp); err != nil {
		return f, err
	}
	plan := e.plan()
	connections := int64(len(plan.Sessions))
	memoryBefore, err := e.resident()
	if err != nil {
		return f, err
	}
	usedBefore, err := e.on.Used()
	if err != nil {
		return f, err
	}
	if err := e.generator.Open(plan); err != nil {
		return f, err
	}
	if err := pause(ctx, time.Second); err != nil { // wait for work that follows later
		return f, err
	}
	used, err := e.on.Used()
	if err != nil {
		return f, err
	}
	if err := pause(ctx, e.times.settle); err != nil {
		return f, err
	}
	memory, err := e.resident()
	if err != nil {
		return f, err
	}
	counts, err := e.generator.Read()
	f = figures{config: e.cluster.Config, memory: memory / connections, added: (memory - memoryBefore) / connections, lost: counts.Lost}
	f.spent(used.Since(usedBefore), connections)
	return f, err
}

func (e *entrant) resident() (int64, error) {
	var total int64
	for _, pid := range e.cluster.PIDs {
		bytes, err := host.Resident(pid)
		if err != nil {
			return 0, err
		}
		total += bytes
	}
	return total, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
