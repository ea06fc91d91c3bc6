package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	backend "github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

const hookSecret = "whsec_c2VjcmV0IG9mIGF0IGxlYXN0IDI0IGJ5dGVz"

// receiver is a back end that receives deliveries with the Go client. It can fail on purpose.
type receiver struct {
	*httptest.Server
	misbehave atomic.Pointer[func(n int64) int] // returns a status, or 0 to accept

	mu      sync.Mutex
	n       int64
	applied map[string][]backend.Event // by group
	ids     map[string]string          // the versions by id
	wrong   []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{applied: map[string][]backend.Event{}, ids: map[string]string{}}
	handler, err := backend.Hook(hookSecret, r.take)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.n++
		n := r.n
		r.mu.Unlock()
		if fn := r.misbehave.Load(); fn != nil {
			if status := (*fn)(n); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// take applies events as docs/webhooks.md describes. It recognizes a repeated event by its
// versions.
func (r *receiver) take(_ context.Context, d backend.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var versions []string
	for _, e := range d.Events {
		versions = append(versions, fmt.Sprint(e.Version))
	}
	text := strings.Join(versions, " ")
	if before, known := r.ids[d.ID]; known && before != text {
		r.wrong = append(r.wrong, fmt.Sprintf("%s had the events %s and then %s", d.ID, before, text))
	}
	r.ids[d.ID] = text
	for _, e := range d.Events {
		head := int64(len(r.applied[d.GroupID]))
		switch {
		case e.Version <= head:
		case e.Version == head+1:
			r.applied[d.GroupID] = append(r.applied[d.GroupID], e)
		default:
			r.wrong = append(r.wrong, fmt.Sprintf("%s: version %d after %d", d.GroupID, e.Version, head))
		}
	}
	return nil
}

func (r *receiver) head(groupID string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.applied[groupID])
}

// check compares what the receiver has applied with the log.
func (r *receiver) check(t *testing.T, a api, groupID string) {
	t.Helper()
	log := wholeLog(t, a, groupID)
	if !wait(time.Minute, func() bool { return r.head(groupID) >= len(log) }) {
		t.Fatalf("the receiver has %d of %d events of a group", r.head(groupID), len(log))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range r.applied[groupID] {
		if e.Version != log[i].Version || e.Type != log[i].Type {
			t.Fatalf("event %d is %d %s, in the log %d %s", i, e.Version, e.Type, log[i].Version, log[i].Type)
		}
	}
	if len(r.wrong) > 0 {
		t.Error(r.wrong)
	}
}

// TestHooksSurviveKills posts through two nodes that are killed in turn. The receiver sometimes
// fails, closes the connection or is slow. In the end it must have applied exactly the log.
func TestHooksSurviveKills(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_HOOK_PRIVATE=true")
	ops := api{base: d.nodes[0].URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	r := newReceiver(t)
	bad := func(n int64) int {
		switch {
		case n%17 == 0:
			panic(http.ErrAbortHandler) // closes the connection
		case n%13 == 0:
			time.Sleep(200 * time.Millisecond) // a slow receiver
		case n%7 == 0:
			return http.StatusInternalServerError
		}
		return 0
	}
	r.misbehave.Store(&bad)
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "all", "url": r.URL, "events": []string{"*"}, "secret": hookSecret}, nil)
	dead := httptest.NewServer(nil)
	dead.Close()
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "dead", "url": dead.URL, "events": []string{"*"}}, nil)
	groups := []string{newGroup(t, d), newGroup(t, d), newGroup(t, d)}
	l := startLoad(t, d, groups, 6, 100)
	for i := range inSoak(2, 20) {
		at, got := l.acked.Load(), r.head(groups[0])
		need(t, time.Minute, "events flow", func() bool { return l.acked.Load() > at+50 && r.head(groups[0]) > got })
		d.node(i).Kill()
		d.node(i).Restart()
	}
	l.stop()
	r.misbehave.Store(nil)
	ops.must(t, http.StatusAccepted, http.MethodPost, "/hooks/all/replay", nil, nil) // retries waiting deliveries now
	for _, id := range groups {
		r.check(t, d.api(0, "ana"), id)
	}
	var waiting page[struct{ State, Problem string }]
	ops.must(t, http.StatusOK, http.MethodGet, "/hooks/dead/groups", nil, &waiting)
	if len(waiting.Items) != len(groups) {
		t.Errorf("the hook whose receiver is down has the status %+v", waiting.Items)
	}
}

// TestDocumentedReceiver runs the receiver of docs/webhooks.md and the documented commands.
func TestDocumentedReceiver(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true")
	ops := api{base: n.URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	addr := freeAddr()
	body := object{"name": "billing", "url": "http://" + addr + "/", "events": []string{"*"}}
	var made struct{ Secret string }
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", body, &made)
	ops.mustRefuse(t, http.StatusConflict, "hook_exists", http.MethodPost, "/hooks", body)
	lines := runDocumented(t, "webhooks.md", addr, "HOOK_SECRET="+made.Secret)
	moimHooks := func(args ...string) (string, error) {
		out, err := n.command(append([]string{"hooks"}, args...)...).CombinedOutput()
		return string(out), err
	}
	need(t, time.Minute, "the receiver accepts a test", func() bool {
		out, err := moimHooks("test", "billing")
		return err == nil && strings.Contains(out, "accepted")
	})
	ana := api{base: n.URL(), token: mint("ana", time.Hour)}
	var g group
	ana.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "g"}, &g)
	for range 3 {
		ana.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": object{}}, nil)
	}
	ana.must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+g.ID, nil, nil)
	want := []string{"1 group.created", "2 message.posted", "3 message.posted", "4 message.posted", "5 group.deleted"}
	printed := func() (of []string) {
		for _, line := range lines() {
			if rest, mine := strings.CutPrefix(line, g.ID+" "); mine {
				of = append(of, rest)
			}
		}
		return of
	}
	if !wait(time.Minute, func() bool { return slices.Equal(printed(), want) }) {
		t.Errorf("the receiver printed %q, want %q", printed(), want)
	}
	out, err := moimHooks("list")
	if err != nil || !strings.Contains(out, "billing") || strings.Contains(out, made.Secret) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := moimHooks("replay", "billing", "--since", "start"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := moimHooks("list", "billing"); err != nil || !strings.Contains(out, "GROUP") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := moimHooks("test", "shipping"); err == nil || !strings.Contains(out, "no hook of this name") {
		t.Errorf("%v: %s", err, out)
	}
	if strings.Contains(n.log.String(), made.Secret) {
		t.Error("the log has the secret")
	}
}

// runDocumented runs the first block of JavaScript in a page of docs/. The block listens on addr.
// It returns a function that returns the printed lines.
func runDocumented(t *testing.T, page, addr string, env ...string) func() []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```js\n")
	block, _, _ = strings.Cut(block, "```\n")
	file := filepath.Join(t.TempDir(), "program.mjs")
	if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", file)
	cmd.Env = append(append(os.Environ(), "PORT="+addr[strings.LastIndex(addr, ":")+1:]), env...)
	cmd.Stderr = os.Stderr
	childtest.DieWithParent(cmd)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		skipOrFail(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			mu.Lock()
			lines = append(lines, scan.Text())
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(lines)
	}
}

// TestHooksOfTheFile configures a hook in the configuration file and changes it there. A mistake
// in the file must be refused.
func TestHooksOfTheFile(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	n := newNode(t, "MOIM_AUTH_SECRET="+secret)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(n.dir, "moim.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hooks := func(events string) string {
		return fmt.Sprintf("hook.private: true\nhooks:\n  - name: billing\n    url: %s\n    events: [%q]\n    secret: %s\n", r.URL, events, hookSecret)
	}
	write(strings.ReplaceAll(hooks("member.*"), "http://", "http://user:password@"))
	if out := n.refused(startWithin); !strings.Contains(out, "hooks[0].url: must not contain a user") || strings.Contains(out, "password@") || strings.Contains(out, hookSecret) {
		t.Error(out)
	}
	write(hooks("*"))
	n.Restart()
	ops := api{base: n.URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	ops.mustRefuse(t, http.StatusConflict, "hook_configured", http.MethodPatch, "/hooks/billing", object{"events": []string{"*"}})
	var g group
	ops.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "g", "ownerId": "ana"}, &g)
	need(t, time.Minute, "the event arrives", func() bool { return r.head(g.ID) == 1 })
	gone := func(int64) int { return http.StatusGone }
	r.misbehave.Store(&gone)
	post := func() {
		ops.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": object{}}, nil)
	}
	post()
	var list page[json.RawMessage]
	need(t, time.Minute, "the hook is disabled", func() bool {
		ops.must(t, http.StatusOK, http.MethodGet, "/hooks", nil, &list)
		return strings.Contains(string(list.Items[0]), `"enabled":false`)
	})
	if text := string(list.Items[0]); !strings.Contains(text, "410") || strings.Contains(text, "whsec_") {
		t.Error(text)
	}
	r.misbehave.Store(nil)
	post()
	ops.must(t, http.StatusOK, http.MethodPatch, "/hooks/billing", object{"enabled": true}, nil)
	need(t, time.Minute, "the events since the hook was disabled arrive", func() bool { return r.head(g.ID) == 3 })
	r.check(t, ops, g.ID)
	if strings.Contains(n.log.String(), hookSecret) {
		t.Error("the log has the secret")
	}
}
