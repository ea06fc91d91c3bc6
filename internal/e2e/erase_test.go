package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// The user who is erased, and the text of their messages.
const (
	erasedID   = "vic-7f3a91c2"
	erasedName = "Victor-55d0"
	erasedMark = "mark-1b9f44"
)

// TestEraseUnderLoad erases a user with 10,000 messages in 200 groups on three nodes while others
// post. The node that runs the job is killed twice. Afterwards, no table, Redis key, file or new
// log line may have the user's id, name or text.
func TestEraseUnderLoad(t *testing.T) {
	t.Parallel()
	const groups, owned, messages = 200, 10, 50
	server, database := redistest.Start(t), pgtest.Start(t).NewDatabase(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+server.URL(), "MOIM_DATABASE_URL="+database)
	backend := func(i int) api {
		return api{base: d.node(i).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	}
	r := newPresenceReceiver(t)
	r.down.Store(true) // its deliveries wait
	backend(0).must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "presence", "url": r.URL, "events": []string{"*", "presence.*"}, "secret": hookSecret}, nil)
	victimToken := mint(erasedID, time.Hour, `"name":"`+erasedName+`"`)
	ids := make([]string, groups)
	began := time.Now()
	each(t, groups, func(i int) {
		owner, name := "ana", "Ana"
		if i < owned {
			owner, name = erasedID, erasedName
		}
		var g group
		backend(i).must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "g", "ownerId": owner, "ownerName": name}, &g)
		ids[i] = g.ID
		if i > 0 { // in the first group, the user is the only member
			backend(i).under("add-"+erasedID+"-to-"+g.ID).must(t, http.StatusOK, http.MethodPost, "/groups/"+g.ID+"/members",
				object{"userIds": []string{erasedID, "bo", "cy"}, "names": object{erasedID: erasedName}}, nil)
		}
		victim := api{base: d.node(i).URL(), token: victimToken}
		for n := range messages {
			victim.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": object{"text": erasedMark, "n": n}}, nil)
		}
	})
	t.Logf("%d messages in %d groups were posted in %s", groups*messages, groups, time.Since(began).Round(time.Second))
	victim := api{base: d.node(0).URL(), token: victimToken}
	victim.must(t, http.StatusOK, http.MethodPatch, "/groups/"+ids[20]+"/members/me", object{"profile": object{"bio": erasedMark}}, nil)
	c := connect(t, plain, d.node(0), erasedID, victimToken)
	watchers := []*client{d.ws(t, 0, "bo"), d.ws(t, 1, "bo"), d.ws(t, 2, "cy")} // one of these nodes is not killed
	for _, id := range ids[1:30] {
		c.subscribe(id)
		for _, w := range watchers {
			w.subscribe(id)
		}
	}

	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	need(t, soon, "a delivery of the user's presence waits", func() bool {
		var rows int
		err := conn.QueryRow(t.Context(), `SELECT COUNT(*) FROM hook_presence WHERE user_id = $1`, erasedID).Scan(&rows)
		return err == nil && rows == 29
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	for w := range 3 {
		load.Go(func() {
			for i := w; ctx.Err() == nil; i++ { // a killed node does not answer
				_, _ = d.api(i, "bo").do(ctx, http.MethodPost, "/groups/"+ids[1+i%(groups-1)]+"/messages", object{"data": "of bo"}, nil)
			}
		})
	}
	began = time.Now()
	var job struct{ JobID string }
	backend(0).must(t, http.StatusAccepted, http.MethodDelete, "/users/"+erasedID, nil, &job)
	victim.mustRefuse(t, http.StatusUnauthorized, "unauthenticated", http.MethodGet, "/me/groups", nil)
	asked := make([]int, len(d.nodes)) // the positions in the logs
	for i, n := range d.nodes {
		asked[i] = len(n.log.String())
	}
	killWorker(t, d, conn, job.JobID, `groups_left > 20`)
	killWorker(t, d, conn, job.JobID, `messages_blanked > 2000`)
	var report struct {
		Status                                                                    string
		GroupsLeft, GroupsHandedOver, GroupsEnded, MessagesBlanked, EventsBlanked int
	}
	if !wait(3*time.Minute, func() bool {
		backend(1).must(t, http.StatusOK, http.MethodGet, "/erasures/"+job.JobID, nil, &report)
		return report.Status == "done"
	}) {
		t.Fatalf("the job is not done: %+v", report)
	}
	t.Logf("done in %s: %+v", time.Since(began).Round(time.Second), report)
	cancel()
	load.Wait()
	if report.GroupsLeft != groups || report.GroupsHandedOver != owned-1 || report.GroupsEnded != 1 || report.MessagesBlanked != groups*messages {
		t.Errorf("the report is %+v", report)
	}

	nothingIsLeft(t, d, conn, server.Client(), asked)
	watched := 0
	for _, w := range watchers {
		select {
		case <-w.conn.gone():
			continue // its node was killed
		default:
			watched++
		}
		for _, id := range ids[1:30] { // the watcher checks the order of events by itself
			var g group
			d.api(1, "bo").must(t, http.StatusOK, http.MethodGet, "/groups/"+id, nil, &g)
			w.needVersion(id, g.Version, catchUp)
		}
	}
	if watched == 0 {
		t.Error("no watcher was connected until the end")
	}
	// A new reader finds only erased messages.
	var page struct{ Items []event }
	d.api(2, "cy").must(t, http.StatusOK, http.MethodGet, "/groups/"+ids[20]+"/events?since=0&limit=200", nil, &page)
	blank := 0
	for i, e := range page.Items {
		if e.Version != int64(i)+1 {
			t.Fatalf("event %d of the log has version %d", i, e.Version)
		}
		if e.Type == "message.posted" && e.Actor == nil {
			blank++
		}
	}
	if blank != messages {
		t.Errorf("%d blank messages, want %d", blank, messages)
	}
}

// each calls fn for 0 … n-1, from several goroutines.
func each(t *testing.T, n int, fn func(i int)) {
	t.Helper()
	var work sync.WaitGroup
	for w := range 8 {
		work.Go(func() {
			for i := w; i < n && !t.Failed(); i += 8 {
				fn(i)
			}
		})
	}
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// killWorker waits until the job has this progress, kills the node that claimed it last, and
// restarts that node.
func killWorker(t *testing.T, d *deployment, conn *pgx.Conn, jobID, when string) {
	t.Helper()
	if !wait(2*time.Minute, func() bool {
		var there bool
		err := conn.QueryRow(t.Context(), `SELECT `+when+` FROM erasures WHERE id = $1`, jobID).Scan(&there)
		return err == nil && there
	}) {
		t.Fatalf("the job never reached %s", when)
	}
	var worker *node
	last := ""
	for _, n := range d.nodes {
		for line := range strings.Lines(n.log.String()) {
			at, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			if strings.Contains(line, "erasing a user") && at > last {
				worker, last = n, at
			}
		}
	}
	if worker == nil {
		t.Fatal("no node works on the job")
	}
	worker.Kill()
	t.Logf("killed %s at %s", worker.name, when)
	worker.Restart()
}

// nothingIsLeft searches the tables, Redis, the files and the logs after these positions.
func nothingIsLeft(t *testing.T, d *deployment, conn *pgx.Conn, client *redis.Client, logs []int) {
	t.Helper()
	for _, text := range []string{erasedID, erasedName, erasedMark} {
		for _, found := range inTables(t, conn, text) {
			t.Errorf("%s is in %s", text, found)
		}
		if !wait(soon, func() bool { return len(inRedis(t, client, text)) == 0 }) {
			t.Errorf("%s is in Redis: %v", text, inRedis(t, client, text))
		}
		for i, n := range d.nodes {
			if log := n.log.String()[logs[i]:]; strings.Contains(log, text) {
				t.Errorf("%s is in the log of %s:\n%s", text, n.name, log)
			}
			err := filepath.WalkDir(n.dir, func(file string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				data, err := os.ReadFile(file)
				if bytes.Contains(data, []byte(text)) {
					t.Errorf("%s is in %s", text, file)
				}
				return err
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	}
}

// inTables returns the rows of all tables that contain a text in any column.
func inTables(t *testing.T, conn *pgx.Conn, text string) (found []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT table_name, string_agg(format('COALESCE(CAST(%I AS TEXT), '''')', column_name), ' || '' | '' || ')
		FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name`)
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string]string)
	var table, row string
	if _, err := pgx.ForEachRow(rows, []any{&table, &row}, func() error {
		tables[table] = row
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(tables) < 15 {
		t.Errorf("only %d tables", len(tables))
	}
	for table, row := range tables {
		var one string
		err := conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT %s FROM %s WHERE strpos(%[1]s, $1) > 0 LIMIT 1`, row, table), text).Scan(&one)
		switch {
		case err == nil:
			found = append(found, table+": "+one)
		case !errors.Is(err, pgx.ErrNoRows):
			t.Fatalf("search %s: %v", table, err)
		}
	}
	return found
}

// inRedis returns the keys that contain a text in their name or value.
func inRedis(t *testing.T, client *redis.Client, text string) (found []string) {
	t.Helper()
	ctx := t.Context()
	keys := client.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var value any
		switch kind := client.Type(ctx, key).Val(); kind {
		case "string":
			value = client.Get(ctx, key).Val()
		case "hash":
			value = client.HGetAll(ctx, key).Val()
		case "set":
			value = client.SMembers(ctx, key).Val()
		case "zset":
			value = client.ZRange(ctx, key, 0, -1).Val()
		case "none": // the key has expired
		default:
			t.Fatalf("%s is a %s", key, kind)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(key, text) || bytes.Contains(encoded, []byte(text)) {
			found = append(found, key+" "+string(encoded))
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
