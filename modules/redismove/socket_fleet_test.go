package redismove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// socketMover is a node whose socket role moves between two servers.
type socketMover struct {
	*SocketPart
	id      string
	clients [2]*redisrole.Clients
	logs    *childtest.Log
	lost    atomic.Int32

	mu   sync.Mutex
	from map[string]*history // the received envelopes, by room and sender
}

// history is what a node received from one sender in a room.
type history struct {
	seen   map[int]int // how often each number was received
	last   int
	behind int // how often an envelope arrived after a newer one
}

func (m *socketMover) receive(env adapter.Envelope) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := env.Room + " " + env.Event
	h := m.from[key]
	if h == nil {
		h = &history{seen: make(map[int]int)}
		m.from[key] = h
	}
	var n int
	_, _ = fmt.Sscan(string(env.Data), &n)
	h.seen[n]++
	if n < h.last {
		h.behind++
	}
	h.last = max(h.last, n)
}

// missing compares the received envelopes with the first n of a sender in a room. It returns how
// many were lost, doubled and out of order.
func (m *socketMover) missing(room, sender string, n int64) (lost, doubled, behind int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.from[room+" "+sender]
	if h == nil {
		return int(n), 0, 0
	}
	for i := range int(n) {
		switch h.seen[i+1] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	return lost, doubled, h.behind
}

// stream is what a node publishes to a room.
type stream struct {
	room, sender string
	published    atomic.Int64
}

// fleet is a set of nodes that can move between two servers.
type fleet struct {
	nodes []*socketMover
	phase int
	sent  []*stream
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func startFleet(t *testing.T, cfg redisrole.Config, one, two string) *fleet {
	t.Helper()
	f := &fleet{}
	for i := range 3 {
		m := &socketMover{id: fmt.Sprint("node-", i), logs: &childtest.Log{}, from: make(map[string]*history)}
		cfg.SocketURL, cfg.GroupURL = one, one
		own, err := redisrole.New(cfg, redisrole.NodeID(m.id), nil)
		if err != nil {
			t.Fatal(err)
		}
		other, err := own.On(redisrole.Socket, two)
		if err != nil {
			t.Fatal(err)
		}
		m.clients = [2]*redisrole.Clients{own, other}
		m.SocketPart, err = NewSocketPart(own, redisadapter.Key(cfg.SocketHMAC).Always(), slog.New(slog.NewTextHandler(m.logs, nil)))
		if err != nil {
			t.Fatal(err)
		}
		m.headStart = time.Second // on a busy machine, envelopes on the old server are late
		m.servers[0].SetTiming(redisadapter.Timing{
			ProbeEvery: 100 * time.Millisecond, BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
			Publish: time.Minute, ProbeTimeout: time.Minute, ProbeLate: time.Minute, // a busy server is not down
		})
		if err := m.Start(t.Context(), m.receive, func() { m.lost.Add(1) }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			if err := m.Stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
			_ = own.Close()
			_ = other.Close()
		})
		for room := range fleetRooms {
			waittest.Receive(t, "an interest", m.Subscribe(fmt.Sprint("r", room)))
		}
		f.nodes = append(f.nodes, m)
	}
	return f
}

// load makes every node publish to every room without pause, each envelope after the other. Each
// node also joins and leaves its own rooms.
func (f *fleet) load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	t.Cleanup(f.halt)
	for _, m := range f.nodes {
		for i := range fleetRooms {
			room := fmt.Sprint("r", i)
			sent := &stream{room: room, sender: m.id}
			f.sent = append(f.sent, sent)
			f.done.Go(func() {
				tick := time.NewTicker(pace)
				defer tick.Stop()
				for n := int64(1); ctx.Err() == nil; n++ {
					<-tick.C
					// The context has no end, so it is always known whether the envelope was
					// published.
					err := m.Publish(context.WithoutCancel(ctx), adapter.Envelope{Room: room, Event: m.id, Data: fmt.Append(nil, n)})
					if err != nil {
						t.Errorf("%s publishes: %v", m.id, err)
						return
					}
					sent.published.Store(n)
				}
			})
		}
		f.done.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				<-tick.C
				room := fmt.Sprint("own-", n%50)
				select {
				case <-m.Subscribe(room):
				case <-time.After(within):
					t.Errorf("%s waits too long for %s", m.id, room)
					return
				}
				if n%3 != 0 {
					m.Unsubscribe(room)
				}
			}
		})
	}
}

func (f *fleet) halt() {
	f.stop()
	f.done.Wait()
}

// goesOn waits until every node has published more envelopes.
func (f *fleet) goesOn(t *testing.T) {
	t.Helper()
	before := make([]int64, len(f.sent))
	for i, s := range f.sent {
		before[i] = s.published.Load()
	}
	for i, s := range f.sent {
		waittest.Until(t, s.sender+" goes on", func() bool { return s.published.Load() > before[i]+5 })
	}
}

// arrived waits until all envelopes published so far are received.
func (f *fleet) arrived(t *testing.T) {
	t.Helper()
	for _, s := range f.sent {
		n := s.published.Load()
		for _, m := range f.nodes {
			waittest.Until(t, s.sender+"'s arrive", func() bool {
				lost, _, _ := m.missing(s.room, s.sender, n)
				return m.id == s.sender || lost == 0
			})
		}
	}
}

// check ends the load and looks for lost and doubled envelopes.
func (f *fleet) check(t *testing.T) {
	t.Helper()
	f.halt()
	total := int64(0)
	for _, s := range f.sent {
		n := s.published.Load()
		total += n
		for _, m := range f.nodes {
			if m.id == s.sender {
				continue
			}
			lost, doubled, behind := m.missing(s.room, s.sender, n)
			for deadline := time.Now().Add(within); lost > 0 && time.Now().Before(deadline); {
				<-time.After(5 * time.Millisecond)
				lost, doubled, behind = m.missing(s.room, s.sender, n)
			}
			if lost+doubled+behind > 0 {
				t.Errorf("%s, of %s's %d in %s: %d lost, %d doubled, %d out of order", m.id, s.sender, n, s.room, lost, doubled, behind)
			}
		}
	}
	t.Logf("%d envelopes", total)
}

// step returns one step of a move from server to server.
func (m *socketMover) step(n int, forward bool) Step {
	return Step{Phase: Phase(n), Forward: forward, From: m.clients[0], To: m.clients[1]}
}

// enter moves one node after the other to a phase. Meanwhile the nodes are in different phases.
func (f *fleet) enter(t *testing.T, phase int) {
	t.Helper()
	back := phase < f.phase
	f.phase = phase
	for _, m := range f.nodes {
		waittest.Until(t, fmt.Sprint("phase ", phase), func() bool {
			err := m.Enter(t.Context(), m.step(phase, !back))
			if err != nil && !errors.Is(err, ErrNotYet) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) { // a busy machine is late
				t.Fatalf("%s enters phase %d: %v", m.id, phase, err)
			}
			return err == nil
		})
		f.goesOn(t)
	}
}

const (
	fleetRooms = 3
	pace       = 4 * time.Millisecond // between two envelopes of a sender in a room
)
