package e2e

import (
	"context"
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

// TestT74MoveCacheUnderLoad moves the cache role from server to server while groups change and
// are read on every node.
func TestT74MoveCacheUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	env := []string{"MOIM_REDIS_URL=" + one.URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	d := startCluster(t, 3, env...)
	l := startCacheLoad(t, d)

	if out, err := moving(d, "--to", "redis://127.0.0.1:1"); err == nil || !strings.Contains(out, "--to: ping") {
		t.Errorf("a move to a server that does not exist: %v\n%s", err, out)
	}
	began := time.Now()
	out, err := moving(d, "--from", one.URL(), "--to", two.URL())
	if err != nil || !strings.Contains(out, "redis.cache.url: the URL of "+two.Addr()+"/0") {
		t.Fatalf("moved: %v\n%s", err, out)
	}
	t.Logf("T74: the cache role moved in %s\n%s", time.Since(began).Round(time.Millisecond), out)
	if out, err := d.node(0).command("redis", "check").Output(); err != nil || !strings.Contains(string(out), "was moved to "+two.Addr()) {
		t.Errorf("redis check does not report the move: %v\n%s", err, out)
	}
	before := one.Monitor()
	if !wait(answerWithin, func() bool { return two.Client().DBSize(t.Context()).Val() > 0 }) {
		t.Error("the new server holds nothing")
	}
	l.goesOn(t, "after the move")
	for _, c := range before.Commands() {
		if text := strings.Join(c.Args, " "); strings.Contains(text, ":cache") {
			t.Errorf("the old server is still used: %.80s", text)
		}
	}

	// A node that starts with the old configuration uses the new server, and logs which setting
	// to change.
	late := startNode(t, append(env, "MOIM_AUTH_SECRET="+secret)...)
	if !strings.Contains(late.log.String(), "redis.cache.url") || !strings.Contains(late.log.String(), "was moved") {
		t.Errorf("the node does not log that the role was moved:\n%s", late.log.String())
	}
	late.Terminate()

	// The role moves back. The operator's command is killed on the way, and so is a node.
	cli := d.node(0).command("redis", "move", "--role", "cache", "--to", one.URL())
	var printed nodeLog
	cli.Stdout, cli.Stderr = &printed, &printed
	if err := cli.Start(); err != nil {
		t.Fatal(err)
	}
	wait(answerWithin, func() bool { return strings.Contains(printed.String(), "join ") })
	_ = cli.Process.Kill()
	_ = cli.Wait()
	d.nodes[2].Kill()
	if out, err := moving(d, "--to", two.URL()); err == nil {
		t.Errorf("a second operator with another order was not refused:\n%s", out)
	}
	refused := false
	if !wait(3*answerWithin, func() bool {
		out, err = moving(d)
		refused = refused || strings.Contains(out, "another operator")
		return err == nil
	}) {
		t.Fatalf("the move does not go on: %v\n%s", err, out)
	}
	if !refused {
		t.Error("the command does not print that another operator may be active")
	}
	d.nodes[2].Restart()
	l.goesOn(t, "after the move back")

	// This move is reverted half way while a node is paused.
	d.nodes[1].Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	cli = d.node(0).command("redis", "move", "--role", "cache", "--to", two.URL())
	printed = nodeLog{}
	cli.Stdout, cli.Stderr = &printed, &printed
	if err := cli.Start(); err != nil {
		t.Fatal(err)
	}
	if !wait(answerWithin, func() bool { return strings.Contains(printed.String(), "waits for") }) {
		t.Errorf("the command does not wait for a node:\n%s", printed.String())
	}
	cancel()
	<-ctx.Done()
	_ = cli.Process.Signal(os.Interrupt)
	if err := cli.Wait(); err == nil {
		t.Error("an interrupted move succeeded")
	}
	d.nodes[1].Resume()
	if out, err := moving(d, "--back"); err != nil || !strings.Contains(out, "taken back: the cache role is on "+one.Addr()) {
		t.Errorf("revert: %v\n%s", err, out)
	}
	l.goesOn(t, "after the revert")
}

// moving runs moim redis move --role cache.
func moving(d *deployment, args ...string) (string, error) {
	out, err := d.node(0).command(append([]string{"redis", "move", "--role", "cache"}, args...)...).CombinedOutput()
	return string(out), err
}

// cacheLoad changes groups on one node and reads them on the others. A read must never return a
// state older than an acknowledged change.
type cacheLoad struct {
	reads atomic.Int64
}

func startCacheLoad(t *testing.T, d *deployment) *cacheLoad {
	t.Helper()
	l := &cacheLoad{}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range 4 {
		var g group
		d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "v 0"}, &g)
		all.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				want := fmt.Sprint("v ", n)
				if _, err := d.api(0, "ana").do(ctx, http.MethodPatch, "/groups/"+g.ID, object{"name": want}, nil); err != nil {
					if ctx.Err() == nil {
						t.Errorf("change: %v", err)
					}
					return
				}
				for node := range 2 { // the third node is killed during a move
					var got group
					if _, err := d.api((node+i)%2, "ana").do(ctx, http.MethodGet, "/groups/"+g.ID, nil, &got); err != nil {
						if ctx.Err() == nil && !strings.Contains(err.Error(), "deadline") {
							t.Errorf("read: %v", err)
						}
						continue
					}
					if got.Name != want {
						t.Errorf("node %d answers %q after %q was acknowledged", node, got.Name, want)
					}
					l.reads.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	return l
}

// goesOn waits for more successful reads.
func (l *cacheLoad) goesOn(t *testing.T, when string) {
	t.Helper()
	before := l.reads.Load()
	if !wait(answerWithin, func() bool { return l.reads.Load() > before+20 }) {
		t.Errorf("%s, no read of groups succeeds", when)
	}
}
