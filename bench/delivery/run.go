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

// opening is how many connections are opened at a time.
const opening = 64

// times is how long things are done.
type times struct {
	warmUp, measure, settle time.Duration
}

// measure starts a server, measures one row of it and ends it.
func measure(ctx context.Context, peer peers.Peer, r row, t times) (f figures, err error) {
	on := host.New(ctx)
	defer on.Close()
	cluster, err := peer.Start(ctx, on, r.need)
	if err != nil {
		return f, err
	}
	program, err := os.Executable()
	if err != nil {
		return f, err
	}
	generator, err := load.Start(program, loadRole)
	if err != nil {
		return f, err
	}
	defer func() { _ = generator.Close() }()
	m := measurement{cluster: cluster, generator: generator, row: r, times: t, figures: figures{config: cluster.Config}}
	if r.kind == connecting {
		err = m.connect(ctx)
	} else {
		err = m.deliver(ctx)
	}
	return m.figures, err
}

type measurement struct {
	figures

	cluster   *peers.Cluster
	generator *load.Generator
	row       row
	times     times
}

// plan spreads each room's members over the nodes.
func (m *measurement) plan() load.Plan {
	plan := load.Plan{Heartbeats: m.cluster.Heartbeats, AtOnce: opening}
	for room := range m.row.need.Rooms {
		for member := range m.row.need.Members {
			addr := m.cluster.Addrs[(room+member)%m.row.need.Nodes]
			plan.Sessions = append(plan.Sessions, m.cluster.Session(addr, room, member))
		}
	}
	return plan
}

func (m *measurement) deliver(ctx context.Context) error {
	if err := m.generator.Open(m.plan()); err != nil {
		return err
	}
	publisher, err := startPublisher(ctx, m.cluster, m.row.need, m.row.rate)
	if err != nil {
		return err
	}
	err = m.window(ctx, publisher)
	if stopped := publisher.stop(); err == nil {
		err = stopped
	}
	return err
}

// window measures while messages are published.
func (m *measurement) window(ctx context.Context, publisher *publisher) error {
	if err := pause(ctx, m.times.warmUp); err != nil {
		return err
	}
	receivedBefore, readBefore, err := m.idle(ctx)
	if err != nil {
		return err
	}
	if err := m.generator.Reset(); err != nil {
		return err
	}
	usedBefore, err := host.Used(m.generator.PID())
	if err != nil {
		return err
	}
	start, postedBefore := time.Now(), publisher.posted.Load()
	if err := pause(ctx, m.times.measure); err != nil {
		return err
	}
	used, err := host.Used(m.generator.PID())
	if err != nil {
		return err
	}
	counts, err := m.generator.Read()
	if err != nil {
		return err
	}
	posted, took := publisher.posted.Load()-postedBefore, time.Since(start).Seconds()
	if counts.Messages == 0 || posted == 0 {
		return fmt.Errorf("%d messages were posted and %d delivered", posted, counts.Messages)
	}
	received, read, err := m.idle(ctx)
	if err != nil {
		return err
	}
	use := used.Since(usedBefore)
	m.cost, m.parts = use.Total()/time.Duration(counts.Messages), use.Parts()
	m.p50, m.p99 = counts.P50, counts.P99
	m.delivered, m.posted = float64(counts.Messages)/took, float64(posted)/took
	m.whole, m.lost = float64(counts.Messages)/float64(posted*int64(m.row.need.Members)), counts.Lost
	m.received, m.read = (received-receivedBefore)/took, float64(read-readBefore)/took
	return nil
}

// connect measures what connecting costs, and what connections keep.
func (m *measurement) connect(ctx context.Context) error {
	if err := pause(ctx, m.times.warmUp); err != nil {
		return err
	}
	plan := m.plan()
	memoryBefore, err := m.resident()
	if err != nil {
		return err
	}
	usedBefore, err := host.Used(m.generator.PID())
	if err != nil {
		return err
	}
	start := time.Now()
	if err := m.generator.Open(plan); err != nil {
		return err
	}
	m.delivered = float64(len(plan.Sessions)) / time.Since(start).Seconds()
	if err := pause(ctx, time.Second); err != nil { // for what it leaves to be done later
		return err
	}
	used, err := host.Used(m.generator.PID())
	if err != nil {
		return err
	}
	use := used.Since(usedBefore)
	m.cost, m.parts = use.Total()/time.Duration(len(plan.Sessions)), use.Parts()
	if err := pause(ctx, m.times.settle); err != nil {
		return err
	}
	memory, err := m.resident()
	if err != nil {
		return err
	}
	m.memory, m.added = memory/int64(len(plan.Sessions)), (memory-memoryBefore)/int64(len(plan.Sessions))
	counts, err := m.generator.Read()
	m.lost = counts.Lost
	return err
}

func (m *measurement) resident() (int64, error) {
	var total int64
	for _, pid := range m.cluster.PIDs {
		bytes, err := host.Resident(pid)
		if err != nil {
			return 0, err
		}
		total += bytes
	}
	return total, nil
}

// idle is what the idle node, if there is one, has received from the others,
// and read at all.
func (m *measurement) idle(ctx context.Context) (received float64, read int64, err error) {
	if m.row.kind != idling {
		return 0, 0, nil
	}
	node := m.row.need.Nodes
	if received, err = metric(ctx, m.cluster.Addrs[node], "moim_adapter_received_total"); err != nil {
		return 0, 0, err
	}
	read, err = host.Read(m.cluster.PIDs[node])
	return received, read, err
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
