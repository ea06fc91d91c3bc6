package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestT74MoveGroupUnderLoad moves the group role while members are connected to every node and
// one member changes nodes.
func TestT74MoveGroupUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	env := []string{"MOIM_REDIS_URL=" + one.URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=10s"}
	d := startCluster(t, 3, env...)
	l := startAudience(t, d)
	l.wander()

	began := time.Now()
	out, err := movingRole(d, "group", "--from", one.URL(), "--to", two.URL())
	if err != nil || !strings.Contains(out, "redis.group.url: the URL of "+two.Addr()+"/0") {
		t.Fatalf("moved: %v\n%s", err, out)
	}
	t.Logf("T74: the group role moved in %s\n%s", time.Since(began).Round(time.Millisecond), out)
	before := one.Monitor()
	l.goesOn(t, "after the move")
	if out, err := d.node(0).command("redis", "check").Output(); err != nil || !strings.Contains(string(out), "the group role was moved to "+two.Addr()) {
		t.Errorf("redis check does not report the move: %v\n%s", err, out)
	}
	late := startNode(t, append(env, "MOIM_AUTH_SECRET="+secret)...)
	if text := late.log.String(); !strings.Contains(text, "redis.group.url") || !strings.Contains(text, "was moved") {
		t.Errorf("a new node does not say that the role was moved:\n%s", text)
	}
	if got := statusOf(t, api{base: late.URL(), token: d.token("ana")}, l.groupID, "m0"); got != "online" {
		t.Errorf("a new node says that m0 is %q", got)
	}
	late.Terminate()
	for _, c := range before.Commands() {
		if text := strings.Join(c.Args, " "); strings.Contains(text, "moim:presence:") {
			t.Errorf("the old server is still used: %.80s", text)
		}
	}
	l.needNobodyCalledGone(t)
}

// TestT74MoveGroupBack starts moves and reverts them half way.
func TestT74MoveGroupBack(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+one.URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=10s")
	l := startAudience(t, d)
	l.wander()
	for before, phase := range map[string]string{"join": "both", "both": "switch"} {
		m := startMove(t, d, "group", "--to", two.URL())
		m.until(t, "\n"+before+" ")
		m.interrupt(t)
		l.goesOn(t, "in "+phase)
		if out, err := movingRole(d, "group", "--back"); err != nil || !strings.Contains(out, "taken back: the group role is on "+one.Addr()) {
			t.Errorf("revert from %s: %v\n%s", phase, err, out)
		}
		l.goesOn(t, "after the revert")
	}
	l.needNobodyCalledGone(t)
}

// TestT74MoveGroupNodeDies kills a node half way through a move. Its members must become offline,
// and the others must stay online.
func TestT74MoveGroupNodeDies(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+one.URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=1s")
	l := startAudience(t, d)
	m := startMove(t, d, "group", "--to", two.URL())
	m.until(t, "\njoin ")
	l.leave(2)
	d.node(2).Kill()
	began := time.Now()
	if err := m.cmd.Wait(); err != nil {
		t.Fatalf("the move does not end: %v\n%s", err, m.printed.String())
	}
	t.Logf("T74: the move ended %s after a node died\n%s", time.Since(began).Round(time.Millisecond), m.printed.String())
	for _, user := range l.of(2) {
		need(t, leaseEnds, user+" is told to be offline", func() bool {
			told := pushedPresence(l.members[0], l.groupID, user)
			return len(told) > 0 && told[len(told)-1] == "offline node_lost"
		})
	}
	l.goesOn(t, "after the move")
	l.needNobodyCalledGone(t)
}

// TestT74MoveGroupNodeSleeps pauses a node until the move is over. The node must never report
// that a member on another node is gone.
func TestT74MoveGroupNodeSleeps(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+one.URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=1s")
	l := startAudience(t, d)
	m := startMove(t, d, "group", "--to", two.URL())
	m.until(t, "\njoin ")
	l.leave(2)
	d.node(2).Pause()
	if err := m.cmd.Wait(); err != nil {
		t.Errorf("the move does not end: %v\n%s", err, m.printed.String())
	}
	d.node(2).Resume()
	need(t, leaseEnds, "the node has followed", func() bool {
		got := statusOf(t, d.api(2, "ana"), l.groupID, "m0")
		if got == "" || got == "reconnecting" || got == "offline" {
			t.Errorf("the node that slept says that m0 is %q", got)
		}
		return got == "online"
	})
	need(t, soon, "its members are online again", func() bool { return statusOf(t, d.api(0, "ana"), l.groupID, "m4") == "online" })
	l.needNobodyCalledGone(t)
}

// movingRole runs moim redis move.
func movingRole(d *deployment, role string, args ...string) (string, error) {
	out, err := d.node(0).command(append([]string{"redis", "move", "--role", role}, args...)...).CombinedOutput()
	return string(out), err
}

// runningMove is a running moim redis move.
type runningMove struct {
	cmd     *exec.Cmd
	printed nodeLog
}

func startMove(t *testing.T, d *deployment, role string, args ...string) *runningMove {
	t.Helper()
	m := &runningMove{cmd: d.node(0).command(append([]string{"redis", "move", "--role", role}, args...)...)}
	m.cmd.Stdout, m.cmd.Stderr = &m.printed, &m.printed
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *runningMove) until(t *testing.T, printed string) {
	t.Helper()
	if !wait(answerWithin, func() bool { return strings.Contains(m.printed.String(), printed) }) {
		t.Fatalf("%q is not printed:\n%s", printed, m.printed.String())
	}
}

func (m *runningMove) interrupt(t *testing.T) {
	t.Helper()
	_ = m.cmd.Process.Signal(os.Interrupt)
	if err := m.cmd.Wait(); err == nil {
		t.Error("an interrupted move succeeded")
	}
}

// audience is a set of members who stay connected, two on each node, and readers on every node.
// They check that a connected member is always shown as online.
type audience struct {
	d       *deployment
	groupID string
	members []*client // two on each node: m0 and m1 are on the first
	reads   atomic.Int64
	ctx     context.Context
	all     sync.WaitGroup

	halt      chan struct{} // closed to stop wander
	wandering sync.WaitGroup

	mu   sync.Mutex
	gone map[string]bool
}

func startAudience(t *testing.T, d *deployment) *audience {
	t.Helper()
	l := &audience{d: d, gone: make(map[string]bool), halt: make(chan struct{})}
	users := []string{"wanderer"}
	for i := range 2 * len(d.nodes) {
		users = append(users, fmt.Sprint("m", i))
	}
	l.groupID = newGroup(t, d, users...)
	for i, user := range users[1:] {
		c := d.ws(t, i/2, user)
		c.subscribe(l.groupID)
		l.members = append(l.members, c)
	}
	for i := range d.nodes {
		for _, c := range l.members {
			need(t, soon, "every node says that all are online", func() bool { return statusOf(t, d.api(i, "ana"), l.groupID, c.user) == "online" })
		}
	}
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(context.Background())
	for i := range d.nodes {
		l.all.Go(func() { l.read(t, i) })
	}
	t.Cleanup(func() {
		stop()
		l.all.Wait()
		l.wandering.Wait()
	})
	return l
}

// of returns the members who are connected to a node.
func (l *audience) of(node int) []string {
	return []string{l.members[2*node].user, l.members[2*node+1].user}
}

// leave records that a node was killed.
func (l *audience) leave(node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, user := range l.of(node) {
		l.gone[user] = true
	}
	l.gone[fmt.Sprint("node ", node)] = true
}

func (l *audience) isGone(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone[what]
}

// readAgain is how long reads of the presence may fail one after the other. A longer failure is a
// fault, not a slow machine.
const readAgain = 20 * time.Second

// read reads the presence from a node again and again.
func (l *audience) read(t *testing.T, node int) {
	answeredAt := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		var answered page[whoIsThere]
		_, err := l.d.api(node, "ana").do(l.ctx, http.MethodGet, "/groups/"+l.groupID+"/presence?limit=200", nil, &answered)
		if l.ctx.Err() != nil || l.isGone(fmt.Sprint("node ", node)) {
			return
		}
		if err != nil {
			if failing := time.Since(answeredAt); failing > readAgain {
				t.Errorf("node %d, for %s: %v", node, failing.Round(time.Millisecond), err)
			}
			continue
		}
		answeredAt = time.Now()
		online := make(map[string]bool)
		for _, p := range answered.Items {
			online[p.UserID] = p.Status == "online"
		}
		for _, c := range l.members {
			if !online[c.user] && !l.isGone(c.user) {
				t.Errorf("node %d does not say that %s is online: %+v", node, c.user, answered.Items)
			}
		}
		l.reads.Add(1)
	}
}

// wander connects one more member to one node after the other, always within the grace.
func (l *audience) wander() {
	l.wandering.Go(func() {
		var before *client
		for i := 0; ; i++ {
			next := l.d.ws(l.members[0].t, i, "wanderer")
			if before != nil {
				before.conn.close()
			}
			next.subscribe(l.groupID)
			next.must("presence:set", object{"groupId": l.groupID, "state": object{"n": i}}, nil)
			before = next
			select {
			case <-l.ctx.Done():
				return
			case <-l.halt:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	})
}

// goesOn waits for more successful reads.
func (l *audience) goesOn(t *testing.T, when string) {
	t.Helper()
	before := l.reads.Load()
	if !wait(answerWithin, func() bool { return l.reads.Load() > before+20 }) {
		t.Errorf("%s, no read of presence succeeds", when)
	}
}

// needNobodyCalledGone checks what the members were told.
func (l *audience) needNobodyCalledGone(t *testing.T) {
	t.Helper()
	for _, c := range l.members {
		if l.isGone(c.user) {
			continue
		}
		for _, data := range c.pushes("group:presence") {
			var change struct{ Items []whoIsThere }
			if err := json.Unmarshal(data, &change); err != nil {
				t.Fatal(err)
			}
			for _, p := range change.Items {
				wanders := p.UserID == "wanderer" && p.Status == "reconnecting"
				if p.Status != "online" && !l.isGone(p.UserID) && !wanders {
					t.Errorf("%s received that %s is %s (%s)", c.user, p.UserID, p.Status, p.Reason)
				}
			}
		}
	}
	close(l.halt)
	l.wandering.Wait()
	need(t, soon, "the wanderer, who is connected, is told to be online", func() bool {
		told := pushedPresence(l.members[0], l.groupID, "wanderer")
		return len(told) == 0 || strings.HasPrefix(told[len(told)-1], "online")
	})
}
