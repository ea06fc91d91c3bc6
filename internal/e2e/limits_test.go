package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

const limitsOn = "MOIM_LIMIT_ENABLED=true"

// flood is a call that an attacker repeats over one endpoint.
type flood struct {
	times int
	do    func(i int) error
	// most is how many calls may succeed at once. each is the time after which one more may
	// succeed.
	most int
	each time.Duration
	code string
}

// run repeats the call. It fails the test if too many calls succeed, if none is refused with the
// code, or if a call of bystand fails.
func (f flood) run(t *testing.T, bystand func(i int) error) {
	t.Helper()
	began := time.Now()
	done, refused := 0, 0
	for i := range f.times {
		refusal, isRefusal := errors.AsType[*apiError](f.do(i))
		switch {
		case isRefusal && refusal.Code == f.code:
			refused++
		case isRefusal:
			t.Fatalf("call %d: %v", i, refusal)
		default:
			done++
		}
		if i%10 == 0 {
			if err := bystand(i); err != nil {
				t.Fatalf("a bystander at call %d: %v", i, err)
			}
		}
	}
	most := f.most + 1
	if f.each > 0 {
		most += int(time.Since(began) / f.each)
	}
	if done > most || refused == 0 {
		t.Errorf("%d of %d calls succeeded in %v, want at most %d; %d were refused", done, f.times, time.Since(began), most, refused)
	}
}

// TestLimitsOfAUser makes one user flood a node over each endpoint, on both databases. Another
// user must be able to work meanwhile.
func TestLimitsOfAUser(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"SQLite":     nil,
		"PostgreSQL": {"MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startCluster(t, 1, append(env, limitsOn, "MOIM_LIMIT_GROUP_BANS=5", "MOIM_LIMIT_GROUP_REQUESTS=5",
				"MOIM_LIMIT_SOCKET_SUBSCRIPTIONS=3", "MOIM_LIMIT_SOCKET_REQUESTS=0", "MOIM_LIMIT_USER_REQUESTS=0")...)
			floodUser(t, d)
		})
	}
}

func floodUser(t *testing.T, d *deployment) {
	t.Helper()
	floods, bystand := floodsOf(t, d)
	for name, f := range floods {
		t.Run(name, func(t *testing.T) { f.run(t, bystand) })
	}
}

// floodsOf returns the attacks over each endpoint, and the call of another user.
func floodsOf(t *testing.T, d *deployment) (floods map[string]flood, bystand func(int) error) {
	t.Helper()
	backend := api{base: d.node(0).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	var g, requests group
	alice := d.api(0, "alice")
	alice.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Walkers", "visibility": "public", "joinPolicy": "open"}, &g)
	alice.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Askers", "visibility": "public", "joinPolicy": "request"}, &requests)
	in := "/groups/" + g.ID
	backend.must(t, http.StatusOK, http.MethodPost, in+"/members", object{"userIds": []string{"bo", "http", "io", "ws"}}, nil)
	bo := d.api(0, "bo")
	bystand = func(int) error {
		_, err := bo.do(t.Context(), http.MethodGet, in, nil, nil)
		return err
	}
	call := func(user, method, path string, body any) func(int) error {
		a := d.api(0, user)
		return func(int) error {
			_, err := a.do(t.Context(), method, path, body, nil)
			return err
		}
	}
	sio, ws := d.io(t, 0, "io"), d.ws(t, 0, "ws")
	sio.subscribe(g.ID)
	ws.subscribe(g.ID)
	send := func(c *client, event string, data object) func(int) error {
		return func(int) error { return c.request(event, data, nil) }
	}
	message := object{"groupId": g.ID, "data": "x"}
	floods = map[string]flood{
		"messages by HTTP":      {120, call("http", http.MethodPost, in+"/messages", object{"data": "x"}), 50, 100 * time.Millisecond, "rate_limited"},
		"messages by Socket.IO": {120, send(sio, "group:message", message), 50, 100 * time.Millisecond, "rate_limited"},
		"messages by /ws":       {120, send(ws, "group:message", message), 50, 100 * time.Millisecond, "rate_limited"},
		"groups by HTTP":        {30, call("http", http.MethodPost, "/groups", object{"name": "x"}), 20, time.Minute, "rate_limited"},
		"groups by Socket.IO":   {30, send(sio, "group:create", object{"name": "x"}), 20, time.Minute, "rate_limited"},
		"lists":                 {250, call("http", http.MethodGet, "/groups", nil), 100, 50 * time.Millisecond, "rate_limited"},
		"logs":                  {250, call("alice", http.MethodGet, in+"/events?since=0", nil), 100, 50 * time.Millisecond, "rate_limited"},
		"codes of invites": {250, func(i int) error {
			err := call("guesser", http.MethodPost, "/invites/"+strconv.Itoa(i)+"/accept", nil)(i)
			if refusal, ok := errors.AsType[*apiError](err); ok && refusal.Code == "invite_invalid" {
				return nil
			}
			return err
		}, 100, 50 * time.Millisecond, "rate_limited"},
		"joining": {10, func(i int) error {
			if err := call("joiner", http.MethodPost, in+"/join", nil)(i); err != nil {
				return err
			}
			return call("joiner", http.MethodPost, in+"/leave", nil)(i)
		}, 5, 12 * time.Second, "rate_limited"},
		"states": {60, send(ws, "presence:set", object{"groupId": g.ID, "state": object{"x": 1}}), 10, 100 * time.Millisecond, "rate_limited"},
		"bans": {8, func(i int) error {
			return call("alice", http.MethodPut, in+"/bans/troll"+strconv.Itoa(i), object{})(i)
		}, 4, 0, "limit_reached"},
		"requests": {8, func(i int) error {
			return call("asker"+strconv.Itoa(i), http.MethodPost, "/groups/"+requests.ID+"/join", nil)(i)
		}, 4, 0, "limit_reached"},
	}
	var ids []string
	for i := range 5 {
		var other group
		backend.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": fmt.Sprint("g", i)}, &other)
		backend.must(t, http.StatusOK, http.MethodPost, "/groups/"+other.ID+"/members", object{"userIds": []string{"io"}}, nil)
		ids = append(ids, other.ID)
	}
	floods["subscriptions"] = flood{5, func(i int) error {
		return sio.request("group:subscribe", object{"groupId": ids[i%len(ids)], "presence": false}, nil)
	}, 1, 0, "limit_reached"}
	return floods, bystand
}

// TestLimitOfDeliveries checks that a user's messages are limited by the number of recipients.
func TestLimitOfDeliveries(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 1, limitsOn, "MOIM_LIMIT_USER_DELIVERIES=50/s, burst 100; 1 MiB/s")
	backend := api{base: d.node(0).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	var g, small group
	backend.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Large"}, &g)
	backend.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Small"}, &small)
	users := make([]string, 20)
	for i := range users {
		users[i] = "u" + strconv.Itoa(i)
	}
	for _, id := range []string{g.ID, small.ID} {
		backend.must(t, http.StatusOK, http.MethodPost, "/groups/"+id+"/members", object{"userIds": users}, nil)
	}
	for _, user := range users {
		d.ws(t, 0, user).subscribe(g.ID)
	}
	flooder, other := d.ws(t, 0, "u0"), d.ws(t, 0, "u1")
	flooder.subscribe(small.ID)
	bystand := func(int) error {
		return other.request("group:signal", object{"groupId": small.ID, "type": "wave", "data": 1}, nil)
	}
	// Each message costs 20. Five may be sent at once, and then 2.5 a second.
	flood{40, func(int) error {
		return flooder.request("group:signal", object{"groupId": g.ID, "type": "wave", "data": 1}, nil)
	}, 5, 400 * time.Millisecond, "rate_limited"}.run(t, bystand)
}

// TestLimitOfSockets opens sockets of one user on three nodes.
func TestLimitOfSockets(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 3, limitsOn, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	var open []conn
	refused := 0
	for i := range 70 {
		c, err := plain.open(t.Context(), d.node(i).URL(), d.token("mallory"), newInbox("mallory"))
		refusal, isRefusal := errors.AsType[*apiError](err)
		switch {
		case err == nil:
			open = append(open, c)
			defer c.close()
		case isRefusal && refusal.Status == http.StatusTooManyRequests && refusal.Code == "rate_limited":
			refused++
		default:
			t.Fatal(err)
		}
	}
	if len(open) != 50 || refused != 20 {
		t.Errorf("%d sockets are open, %d refused; want 50 and 20", len(open), refused)
	}
	d.io(t, 1, "alice")
	if c, err := d.driver.endpoint(false).open(t.Context(), d.node(2).URL(), d.token("mallory"), newInbox("mallory")); err == nil {
		c.close()
		t.Error("one more socket over Socket.IO")
	}
	open[0].close()
	if !wait(answerWithin, func() bool {
		c, err := plain.open(context.Background(), d.node(1).URL(), d.token("mallory"), newInbox("mallory"))
		if err == nil {
			c.close()
		}
		return err == nil
	}) {
		t.Error("no new socket after one was closed")
	}
}

// TestLimitOfDescriptors exhausts the file descriptors of a node that has few. Open sockets must
// keep working, new connections must be refused at once, and the node must report the reason.
func TestLimitOfDescriptors(t *testing.T) {
	t.Parallel()
	n := newNode(t, "MOIM_AUTH_SECRET="+secret, limitsOn, "MOIM_LIMIT_ADDRESS_PENDING=0", "MOIM_LIMIT_ADDRESS_CONNECTS=0")
	n.descriptors = 256
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	d := &deployment{nodes: []*node{n}, token: tokensOf(n)}
	var g group
	d.api(0, "alice").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Walkers"}, &g)
	alice := d.ws(t, 0, "alice")
	alice.subscribe(g.ID)

	held := make([]net.Conn, 0, 400)
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for range 400 {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	// The node must close each of the last connections at once. Nothing was sent over them.
	for _, c := range held[300:] {
		if err := c.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Fatalf("a connection beyond the limit waits: %v", err)
		}
	}
	for i := range 20 {
		alice.must("group:message", object{"groupId": g.ID, "data": i}, nil)
	}
	alice.needVersion(g.ID, 21, answerWithin)
	for _, c := range held {
		_ = c.Close()
	}
	if !wait(answerWithin, func() bool { return n.Metric(`moim_limit_refused_total{limit="node.sockets"}`) > 0 }) {
		t.Error("the metric does not count the refused connections")
	}
	if !strings.Contains(n.log.String(), "limit.node.sockets") {
		t.Error("the log does not report the limit")
	}
	d.ws(t, 0, "alice")
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestFullNodeSaysSo checks a node at its limit of sockets. Handshakes must get 503, requests
// must be served, and /readyz must name the reason.
func TestFullNodeSaysSo(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 1, limitsOn, "MOIM_LIMIT_NODE_SOCKETS=40")
	n := d.node(0)
	for i := range 38 {
		c, err := plain.open(t.Context(), n.URL(), d.token("u"+strconv.Itoa(i)), newInbox("u"))
		if err != nil {
			break // requests also use descriptors
		}
		defer c.close()
	}
	var refusal *apiError
	if !wait(answerWithin, func() bool {
		c, err := plain.open(context.Background(), n.URL(), d.token("late"), newInbox("late"))
		if err == nil {
			t.Cleanup(c.close)
			return false
		}
		return errors.As(err, &refusal)
	}) {
		t.Fatal("the node accepts more sockets than its limit")
	}
	if refusal.Status != http.StatusServiceUnavailable || refusal.Code != "unavailable" {
		t.Errorf("refused with %v", refusal)
	}
	var said string
	if !wait(answerWithin, func() bool { // a result is cached for a second
		said = n.text("/readyz")
		return strings.Contains(said, `"status":"degraded"`) && strings.Contains(said, `"node.sockets":{"status":"down"`)
	}) {
		t.Errorf("/readyz says %s", said)
	}
}

// TestLimitOfStrangers checks that connections without a token cannot use up all connections of a
// node.
func TestLimitOfStrangers(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 1, limitsOn, "MOIM_LIMIT_ADDRESS_PENDING=20", "MOIM_HTTP_PROXIES=127.0.0.0/8")
	n := d.node(0)
	// Behind a proxy, each client is counted by its own address.
	handshake := func(client string) string {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, err = fmt.Fprintf(c, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Forwarded-For: %s\r\n\r\n", n.addr, client)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	for range 20 {
		if line := handshake("192.0.2.1"); !strings.Contains(line, "101") {
			t.Fatal(line)
		}
	}
	if line := handshake("192.0.2.1"); !strings.Contains(line, "429") {
		t.Errorf("the 21st stranger of an address: %s", line)
	}
	if line := handshake("192.0.2.2"); !strings.Contains(line, "101") {
		t.Errorf("another address: %s", line)
	}
	d.ws(t, 0, "alice")
}

// TestLimitOfRunning makes 40 requests of one user at once. They must not take the database from
// other users.
func TestLimitOfRunning(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 1, limitsOn)
	var g group
	d.api(0, "alice").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Walkers"}, &g)
	var all sync.WaitGroup
	errs := make(chan error, 40)
	for range cap(errs) {
		all.Go(func() {
			_, err := d.api(0, "alice").do(t.Context(), http.MethodGet, "/groups/"+g.ID, nil, nil)
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs { // quick requests wait until they may run
		if err != nil {
			t.Error(err)
		}
	}
}

// withDescriptors makes a command run with few file descriptors.
func withDescriptors(cmd *exec.Cmd, most int) *exec.Cmd {
	shell := exec.Command("/bin/sh", append([]string{"-c", `ulimit -n "$1"; shift; exec "$@"`, "sh", strconv.Itoa(most), cmd.Path}, cmd.Args[1:]...)...)
	shell.Dir, shell.Env = cmd.Dir, cmd.Env
	childtest.DieWithParent(shell)
	return shell
}
