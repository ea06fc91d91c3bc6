package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

const (
	secret   = "a secret of at least thirty-two bytes"
	origin   = "https://study.example" // the web site of the nodes
	grace    = time.Second
	lease    = 10 * time.Second // of a node in Redis; a constant of Moim
	patience = 30 * time.Second // the longest wait on a busy machine
	soon     = 8 * time.Second  // until a session ends; long enough to set up the test on a busy machine
)

// asNode makes this test binary run as the program that it tests.
const asNode = "STUDYROOM_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil { // the tests mostly wait
		panic(err)
	}
	code := m.Run()
	for _, n := range lasting.nodes {
		if code != 0 && n != nil {
			fmt.Printf("log of the shared node %s:\n%s", n.addr, n.log.String())
		}
	}
	for i := len(lasting.cleanups) - 1; i >= 0; i-- {
		lasting.cleanups[i]()
	}
	os.Exit(code)
}

// suite is a testing.TB for servers that run until all tests are over.
type suite struct {
	testing.TB // the first test that needs the servers

	cleanups []func()
}

func (s *suite) Cleanup(fn func()) { s.cleanups = append(s.cleanups, fn) }
func (s *suite) Failed() bool      { return false } // that test may be over
func (s *suite) TempDir() string {
	dir, err := os.MkdirTemp("", "studyroom")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// lasting are PostgreSQL, Redis and two nodes that several tests share. Each test
// has its own rooms.
var lasting struct {
	suite
	once  sync.Once
	pg    *pgtest.Server
	redis *redistest.Server
	nodes [2]*node
}

// servers starts PostgreSQL and Redis, once.
func servers(t *testing.T) (*pgtest.Server, *redistest.Server) {
	t.Helper()
	lasting.once.Do(func() {
		lasting.TB = t
		lasting.redis = redistest.Start(&lasting.suite)
		lasting.pg = pgtest.Start(&lasting.suite, "max_connections = 300")
		url := lasting.pg.NewDatabase(t)
		for i := range lasting.nodes {
			lasting.nodes[i] = startNode(&lasting.suite, url, lasting.redis.URL(), "shared")
		}
	})
	if lasting.nodes[1] == nil {
		t.Skip("the servers did not start: see the first test")
	}
	return lasting.pg, lasting.redis
}

// cluster returns two shared nodes, for tests that do not break them.
func cluster(t *testing.T) (a, b *node) {
	t.Helper()
	servers(t)
	return lasting.nodes[0], lasting.nodes[1]
}

// pair starts two nodes and a database, for tests that kill nodes.
func pair(t *testing.T, env ...string) (a, b *node) {
	t.Helper()
	pg, redis := servers(t)
	url, prefix := pg.NewDatabase(t), unique(t.Name())
	return startNode(t, url, redis.URL(), prefix, env...), startNode(t, url, redis.URL(), prefix, env...)
}

var prefixes atomic.Int64

// unique returns a prefix that no node has used. Killed nodes keep theirs until their leases end.
func unique(name string) string { return fmt.Sprint(name, "-", prefixes.Add(1)) }

// node is the program in its own process.
type node struct {
	tb       testing.TB
	addr     string
	database string
	env      []string
	log      childtest.Log

	cmd    *exec.Cmd
	exited chan struct{}
}

// startNode runs a node until the test ends and waits until it is ready.
func startNode(tb testing.TB, database, redis, prefix string, env ...string) *node {
	tb.Helper()
	n := newNode(tb, database, redis, prefix, env...)
	n.run()
	n.awaitReady()
	return n
}

func newNode(tb testing.TB, database, redis, prefix string, env ...string) *node {
	tb.Helper()
	n := &node{tb: tb, database: database, addr: "127.0.0.1:" + strconv.Itoa(childtest.FreePort())}
	n.env = append([]string{
		asNode + "=1", "PATH=/usr/bin:/bin", "GOMAXPROCS=2",
		"MOIM_HTTP_ADDR=" + n.addr, "MOIM_DATA_DIR=" + tb.TempDir(), "MOIM_DATABASE_URL=" + database,
		"MOIM_REDIS_URL=" + redis, "MOIM_REDIS_PREFIX=" + strings.ToLower(prefix), "MOIM_AUTH_SECRET=" + secret,
		"MOIM_HTTP_ORIGINS=" + origin, "MOIM_GROUP_PRESENCE_GRACE=" + grace.String(),
	}, env...)
	tb.Cleanup(func() {
		n.kill()
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", n.addr, n.log.String())
		}
	})
	return n
}

func (n *node) run() {
	n.tb.Helper()
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env, n.cmd.Stdout, n.cmd.Stderr = n.env, &n.log, &n.log
	childtest.DieWithParent(n.cmd)
	if err := n.cmd.Start(); err != nil {
		n.tb.Fatal(err)
	}
	cmd, exited := n.cmd, make(chan struct{})
	n.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
}

func (n *node) awaitReady() {
	n.tb.Helper()
	await(n.tb, "a node is ready", func() bool {
		select {
		case <-n.exited:
			n.tb.Fatalf("the node ended:\n%s", n.log.String())
		default:
		}
		resp, err := http.Get("http://" + n.addr + "/readyz") //nolint:noctx // the test's own node
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the process like kill -9.
func (n *node) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
}

func token(tb testing.TB, user string) string {
	tb.Helper()
	signed, err := auth.Mint([]byte(secret), auth.Identity{
		UserID: user, Admin: user == backend, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

// backend is the user id of the back end.
const backend = "backend"

type fields map[string]any

// call makes an HTTP request as a user and returns the status. It decodes the answer into out,
// unless out is nil.
func (n *node) call(tb testing.TB, user, method, path string, body, out any) int {
	tb.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.addr+"/v1"+path, bytes.NewReader(encoded))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token(tb, user))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		tb.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
	return resp.StatusCode
}

// must makes a call and fails the test unless it succeeds. Like an application, it repeats a
// call that a busy database did not finish in time, unless the repeat could do it twice.
func (n *node) must(tb testing.TB, user, method, path string, body, out any) {
	tb.Helper()
	status := n.call(tb, user, method, path, body, out)
	for end := time.Now().Add(patience); status == http.StatusServiceUnavailable && method != http.MethodPost && time.Now().Before(end); {
		status = n.call(tb, user, method, path, body, out)
	}
	if status >= 300 {
		tb.Fatalf("%s %s as %s: status %d", method, path, user, status)
	}
}

// room creates a room that anyone may join. Capacity 0 means no limit.
func (n *node) room(tb testing.TB, leader string, capacity int) string {
	tb.Helper()
	body := fields{"name": tb.Name(), "visibility": "public", "joinPolicy": "open"}
	if capacity > 0 {
		body["capacity"] = capacity
	}
	var g group.Group
	n.must(tb, leader, http.MethodPost, "/groups", body, &g)
	return g.ID
}

// endIn sets the end of a session to d from now.
func (n *node) endIn(tb testing.TB, leader, room string, d time.Duration) time.Time {
	tb.Helper()
	end := time.Now().Add(d).UTC().Truncate(time.Microsecond)
	n.must(tb, leader, http.MethodPatch, "/groups/"+room, fields{"endsAt": end}, nil)
	return end
}

// history counts the events of a room by type.
func (n *node) history(tb testing.TB, user, room string) (all []group.Event, count map[group.EventType]int) {
	tb.Helper()
	var page struct{ Items []group.Event }
	n.must(tb, user, http.MethodGet, "/groups/"+room+"/events?limit=200", nil, &page)
	count = make(map[group.EventType]int)
	for _, e := range page.Items {
		count[e.Type]++
	}
	return page.Items, count
}

// await waits until cond holds.
func await(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	awaitFor(tb, patience, what, cond)
}

func awaitFor(tb testing.TB, within time.Duration, what string, cond func() bool) {
	tb.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("not within %s: %s", within, what)
		}
	}
}

// names returns n user names.
func names(prefix string, n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return users
}
