package e2e

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestT90NothingIsLeft makes 100,000 users connect and disconnect for 20 minutes
// (MOIM_SOAK_MINUTES): they create, join, write to, leave and delete groups. Afterwards, two
// nodes, PostgreSQL and Redis must use no more resources than before.
func TestT90NothingIsLeft(t *testing.T) {
	minutes := inSoak(0.0, 20)
	if text := os.Getenv("MOIM_SOAK_MINUTES"); text != "" && minutes > 0 {
		var err error
		if minutes, err = strconv.ParseFloat(text, 64); err != nil {
			t.Fatal(err)
		}
	}
	if minutes == 0 {
		t.Skip("make soak runs it")
	}
	c := newChurn(t, 100_000)
	c.touchAll()
	c.run(time.Duration(minutes * float64(time.Minute) / 10)) // fills pools and caches
	before := c.rest()
	c.run(time.Duration(minutes * float64(time.Minute)))
	after := c.rest()
	t.Logf("%d groups and %d joins in all", c.made.Load(), c.joined.Load())
	for what, was := range before {
		is := after[what]
		t.Logf("T90: %-50s %12.0f before, %12.0f after", what, was, is)
		// Memory is compared after a garbage collection. Fragmentation and connection caches make
		// it vary by some megabytes.
		most := math.Max(was*1.01, was+10)
		if strings.HasSuffix(what, "bytes") {
			most = math.Max(was*1.1, was+8<<20)
		}
		if is > most {
			t.Errorf("%s: %.0f before, %.0f after, want at most %.0f", what, was, is, most)
		}
	}
}

type churn struct {
	t     *testing.T
	d     *deployment
	debug []string // the address of the profiles of each node
	db    *pgx.Conn
	redis *redistest.Server
	users int

	next, made, joined atomic.Int64
}

func newChurn(t *testing.T, users int) *churn {
	t.Helper()
	postgres, redis := pgtest.Start(t).NewDatabase(t), redistest.Start(t)
	db, err := pgx.Connect(t.Context(), postgres)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	c := &churn{t: t, db: db, redis: redis, users: users, d: &deployment{token: func(user string) string { return mint(user, time.Hour) }}}
	for range 2 {
		debug := freeAddr()
		c.debug = append(c.debug, debug)
		c.d.nodes = append(c.d.nodes, startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_DEBUG_ADDR="+debug,
			"MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres))
	}
	return c
}

// user returns the next user.
func (c *churn) user() string { return fmt.Sprintf("user-%06d", c.next.Add(1)%int64(c.users)) }

// touchAll makes each user a member once. From then on, each user has a row.
func (c *churn) touchAll() {
	c.t.Helper()
	backend := api{base: c.d.node(0).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	for range c.users / 500 {
		ids := make([]string, 500)
		for i := range ids {
			ids[i] = c.user()
		}
		var g group
		backend.must(c.t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "touched"}, &g)
		backend.must(c.t, http.StatusOK, http.MethodPost, "/groups/"+g.ID+"/members", object{"userIds": ids}, nil)
		backend.must(c.t, http.StatusNoContent, http.MethodDelete, "/groups/"+g.ID, nil, nil)
	}
}

// run churns for a while.
func (c *churn) run(during time.Duration) {
	c.t.Helper()
	end := time.Now().Add(during)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for time.Now().Before(end) && !c.t.Failed() {
				if err := c.life(); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// life creates a group with seven members, three of whom follow it, uses it and deletes it.
func (c *churn) life() error {
	n := int(c.made.Add(1))
	owner := c.d.api(n, c.user())
	do := func(a api, method, path string, body, answer any) error {
		_, err := a.do(context.Background(), method, path, body, answer)
		return err
	}
	var g group
	if err := do(owner.under(fmt.Sprint("churn-", n)), http.MethodPost, "/groups",
		object{"name": fmt.Sprint("Group ", n), "visibility": "public", "joinPolicy": "open", "attributes": object{"n": n % 100}}, &g); err != nil {
		return err
	}
	path := "/groups/" + g.ID
	for i := range 6 {
		user := c.user()
		member := c.d.api(n+i, user)
		if err := do(member, http.MethodPost, path+"/join", nil, nil); err != nil {
			return err
		}
		c.joined.Add(1)
		if i < 3 {
			socket, err := plain.open(context.Background(), c.d.node(n+i).URL(), c.d.token(user), newInbox(user))
			if err != nil {
				return err
			}
			defer socket.close()
			if _, err := socket.request(context.Background(), "group:subscribe", object{"groupId": g.ID, "presence": i == 0}); err != nil {
				return err
			}
		}
		if err := do(member, http.MethodPost, path+"/messages", object{"data": object{"text": "hello"}}, nil); err != nil {
			return err
		}
		if i > 3 {
			if err := do(member, http.MethodPost, path+"/leave", nil, nil); err != nil {
				return err
			}
		}
	}
	return do(owner, http.MethodDelete, path, nil, nil)
}

// rest lets a day pass for the database, waits until deleted data is removed, and counts what is
// left.
func (c *churn) rest() map[string]float64 {
	c.t.Helper()
	const day = int64(25 * time.Hour / time.Microsecond)
	for _, query := range []string{
		`UPDATE receipts SET at = at - $1`,
		`UPDATE groups SET deleted_at = deleted_at - $1 WHERE deleted_at IS NOT NULL`,
		`UPDATE heads SET due_at = due_at - $1 WHERE due_at IS NOT NULL`,
	} {
		if _, err := c.db.Exec(c.t.Context(), query, day); err != nil {
			c.t.Fatalf("%s: %v", query, err)
		}
	}
	counts := make(map[string]float64)
	need(c.t, 15*time.Minute, "the deleted groups are removed", func() bool {
		c.count(counts)
		return counts["rows of groups"] == 0 && counts["rows of receipts"] == 0 && counts["rows of events"] == 0 && counts["rows of outbox"] == 0
	})
	last, since := -1.0, time.Now()
	need(c.t, 5*time.Minute, "Redis forgets who was online", func() bool {
		if keys := c.keys(); keys != last {
			last, since = keys, time.Now()
		}
		return time.Since(since) > 15*time.Second
	})
	counts["keys of Redis that do not expire"] = last
	for i, n := range c.d.nodes {
		for range 2 { // the second collection frees what finalizers released
			c.collect(i)
		}
		name := fmt.Sprintf("node %d: ", i)
		need(c.t, soon, "the node tells its metrics", func() bool {
			for metric, what := range map[string]string{
				"go_memstats_heap_alloc_bytes": "heap in bytes", "go_memstats_heap_inuse_bytes": "heap with holes in bytes",
				"go_goroutines": "goroutines", "process_open_fds": "descriptors",
			} {
				value := n.Metric(metric)
				if value <= 0 {
					return false
				}
				counts[name+what] = value
			}
			return true
		})
	}
	return counts
}

// keys counts the keys of Redis that do not expire. Keys that expire, such as those of the cache,
// need no comparison.
func (c *churn) keys() (n float64) {
	c.t.Helper()
	n, err := c.redis.Client().Eval(c.t.Context(), `local n, at = 0, '0'
		repeat
			local found = redis.call('SCAN', at, 'COUNT', 1000)
			at = found[1]
			for _, key in ipairs(found[2]) do if redis.call('PTTL', key) == -1 then n = n + 1 end end
		until at == '0'
		return tostring(n)`, nil).Float64()
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// count counts the rows of all tables.
func (c *churn) count(counts map[string]float64) {
	c.t.Helper()
	rows, err := c.db.Query(c.t.Context(), `SELECT table_name, (xpath('/row/n/text()',
		query_to_xml(format('SELECT COUNT(*) AS n FROM %I', table_name), false, true, '')))[1]::text::bigint
		FROM information_schema.tables WHERE table_schema = 'public'`)
	if err != nil {
		c.t.Fatal(err)
	}
	var table string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&table, &n}, func() error {
		counts["rows of "+table] = float64(n)
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
}

// collect makes a node run a garbage collection.
func (c *churn) collect(node int) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.debug[node]+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
}
