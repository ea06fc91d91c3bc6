package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestT74MoveSocketUnderLoad moves the socket role from server to server while messages are
// posted and signals are sent on every node. Meanwhile a node is killed, and a move is reverted.
func TestT74MoveSocketUnderLoad(t *testing.T) {
	t.Parallel()
	for _, after := range inSoak([]string{"both "}, []string{"settled ", "join ", "both ", "switch "}) {
		t.Run("a node dies after "+after, func(t *testing.T) {
			t.Parallel()
			m := startSocketMove(t)
			m.lead(after, func() { m.d.nodes[2].Kill() }, "--to", m.two.URL())
			m.oldServerIsNotNeeded()
			m.nothingWasLost()
			m.nodesKnowOfTheMove()
			m.anotherDeploymentIsRefused()
		})
	}
	t.Run("taken back", func(t *testing.T) {
		t.Parallel()
		m := startSocketMove(t)
		m.interrupt("both ", "--to", m.two.URL()) // before the switch
		m.lead("", nil, "--back")
		if n := len(roomChannels(m.two)); n != 0 {
			t.Errorf("after the revert, %d channels are left on the new server", n)
		}
		m.lead("", nil, "--to", m.two.URL())
		m.oldServerIsNotNeeded()
		m.nothingWasLost()
		m.nodesKnowOfTheMove()
		m.anotherDeploymentIsRefused()
	})
}

// socketMove is a deployment whose socket role moves under load.
type socketMove struct {
	t        *testing.T
	d        *deployment
	env      []string
	one, two *redistest.Server
	postgres *pgtest.Server
	fleet    *fleet
	load     *load
	signals  *signalling
}

func startSocketMove(t *testing.T) *socketMove {
	t.Helper()
	m := &socketMove{t: t, one: redistest.Start(t), two: redistest.Start(t), postgres: pgtest.Start(t)}
	m.env = []string{
		"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_REDIS_SOCKET_URL=" + m.one.URL(),
		"MOIM_DATABASE_URL=" + m.postgres.NewDatabase(t),
	}
	m.d = startCluster(t, 3, m.env...)
	m.fleet = newFleet(t, m.d, 6, 3)
	m.signals = startSignals(t, m.d)
	m.load = startLoad(t, m.d, m.fleet.groups, 4, 60)
	m.goesOn()
	return m
}

// command runs moim redis move. It calls then once the command has printed a line with the prefix
// begins.
func (m *socketMove) command(begins string, then func(stop func()), args ...string) (string, error) {
	m.t.Helper()
	cli := m.d.node(0).command(append([]string{"redis", "move", "--role", "socket"}, args...)...)
	var printed nodeLog
	cli.Stdout, cli.Stderr = &printed, &printed
	if err := cli.Start(); err != nil {
		m.t.Fatal(err)
	}
	if then != nil {
		need(m.t, 4*answerWithin, begins+"is printed", func() bool { return strings.Contains(printed.String(), begins) })
		then(func() { _ = cli.Process.Signal(os.Interrupt) })
	}
	err := cli.Wait()
	return printed.String(), err
}

// lead runs a move to its end. It calls then when a line has the prefix begins.
func (m *socketMove) lead(begins string, then func(), args ...string) {
	m.t.Helper()
	began := time.Now()
	during := func(func()) { then() }
	if then == nil {
		during = nil
	}
	out, err := m.command(begins, during, args...)
	if err != nil {
		m.t.Fatalf("moim redis move %v: %v\n%s", args, err, out)
	}
	m.t.Logf("T74: %s\n%s", time.Since(began).Round(time.Millisecond), out)
	m.goesOn()
}

// interrupt stops a move when a line has the prefix begins, and leaves it unfinished.
func (m *socketMove) interrupt(begins string, args ...string) {
	m.t.Helper()
	out, err := m.command(begins, func(stop func()) { stop() }, args...)
	if err == nil {
		m.t.Fatalf("an interrupted move succeeded\n%s", out)
	}
	m.goesOn()
}

// goesOn waits until messages and signals arrive.
func (m *socketMove) goesOn() {
	m.t.Helper()
	acked, sent := m.load.acked.Load(), m.signals.sent.Load()
	need(m.t, answerWithin, "messages and signals flow", func() bool {
		return m.load.acked.Load() > acked+20 && m.signals.sent.Load() > sent+20
	})
}

// oldServerIsNotNeeded kills the server that the role has left. Messages and signals must still
// arrive, because no node uses that server any more.
func (m *socketMove) oldServerIsNotNeeded() {
	m.t.Helper()
	if n := len(roomChannels(m.one)); n != 0 {
		m.t.Errorf("%d channels are left on the old server", n)
	}
	m.one.Kill()
	m.goesOn()
	if code, err := m.d.node(0).probe("/readyz"); err != nil || code != http.StatusOK {
		m.t.Errorf("/readyz: %d, %v", code, err)
	}
}

// nothingWasLost ends the load and checks that every message and every signal of the whole test
// arrived, once and in order.
func (m *socketMove) nothingWasLost() {
	m.t.Helper()
	m.load.stop()
	m.signals.needEachOnceInOrder()
	m.fleet.needEveryEventOnce(0)
	lost, doubled := m.load.needEachOnce(m.fleet.streams())
	m.t.Logf("T74: %d messages, %d lost, %d doubled, the latest after %s; %d calls made again; %d signals",
		m.load.acked.Load(), lost, doubled, latest(m.fleet.sessions).Round(time.Millisecond), m.load.again.Load(), m.signals.sent.Load())
}

// nodesKnowOfTheMove checks that the command shows where the role is. A node that starts with the
// old configuration must use the new server, and log which setting to change.
func (m *socketMove) nodesKnowOfTheMove() {
	m.t.Helper()
	if out, err := m.d.node(0).command("redis", "check").CombinedOutput(); err == nil || !strings.Contains(string(out), "the socket role was moved to "+m.two.Addr()) {
		m.t.Errorf("redis check does not report the move: %v\n%s", err, out)
	}
	late := startNode(m.t, m.env...)
	if !strings.Contains(late.log.String(), "redis.socket.url") || !strings.Contains(late.log.String(), "was moved") {
		m.t.Errorf("a node does not say that the role was moved:\n%s", late.log.String())
	}
}

// anotherDeploymentIsRefused (T77) checks that the new server refuses a node of another
// deployment, although no node has this server in its configuration.
func (m *socketMove) anotherDeploymentIsRefused() {
	m.t.Helper()
	stranger := newNode(m.t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+m.two.URL(), "MOIM_DATABASE_URL="+m.postgres.NewDatabase(m.t))
	if printed := stranger.refused(startWithin); !strings.Contains(printed, "prefix") {
		m.t.Errorf("a node of another deployment was not refused on the new server:\n%s", printed)
	}
}

// signalling makes two users send each other numbered signals without pause. Each user is on a
// different node.
type signalling struct {
	t        *testing.T
	users    []*client
	stopping chan struct{}
	done     sync.WaitGroup
	sent     atomic.Int64
	each     []int // the number of signals that each user sent, when done
}

func startSignals(t *testing.T, d *deployment) *signalling {
	t.Helper()
	groupID := newGroup(t, d, "user-0", "user-1")
	s := &signalling{t: t, stopping: make(chan struct{}), each: make([]int, 2)}
	for i := range s.each {
		c := d.ws(t, i, fmt.Sprint("user-", i))
		c.subscribe(groupID)
		s.users = append(s.users, c)
	}
	for i, c := range s.users {
		s.done.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-s.stopping:
					return
				case <-tick.C:
				}
				if err := c.request("group:signal", object{"groupId": groupID, "type": "count", "data": s.each[i] + 1}, nil); err != nil {
					t.Errorf("signal: %v", err)
					return
				}
				s.each[i]++
				s.sent.Add(1)
			}
		})
	}
	t.Cleanup(s.stop)
	return s
}

func (s *signalling) stop() {
	select {
	case <-s.stopping:
	default:
		close(s.stopping)
	}
	s.done.Wait()
}

// needEachOnceInOrder stops the signals and checks that each one arrived once, in order.
func (s *signalling) needEachOnceInOrder() {
	s.t.Helper()
	s.stop()
	for i, c := range s.users {
		want := s.each[1-i]
		if !wait(soon, func() bool { return len(c.pushes("group:signal")) >= want }) {
			s.t.Errorf("%s has %d of %d signals", c.name, len(c.pushes("group:signal")), want)
		}
		for n, raw := range c.pushes("group:signal") {
			var got struct{ Data int }
			if err := json.Unmarshal(raw, &got); err != nil || got.Data != n+1 {
				s.t.Fatalf("%s: signal %d is %s", c.name, n+1, raw)
			}
		}
	}
}
