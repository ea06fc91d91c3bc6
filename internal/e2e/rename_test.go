package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestT68RenameSurvivesKills kills the node that renames a user twice, each time in the middle of
// a step. In the end the user must have the new name in every group and join request, and each
// group must be told once.
func TestT68RenameSurvivesKills(t *testing.T) {
	t.Parallel()
	const joined, asked = 120, 12 // more than two steps
	url := pgtest.Start(t).NewDatabase(t)
	env := []string{"MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_DATABASE_URL=" + url}
	d := startCluster(t, 2, env...)
	first, second := d.node(0), d.node(1)
	backend := api{base: first.URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	bo := api{base: first.URL(), token: mint("bo", time.Hour, `"name":"Old"`)}
	groups := make([]string, joined+asked)
	var work sync.WaitGroup
	for i := range groups {
		work.Go(func() {
			var g group
			owner := "bo"
			if i >= joined {
				owner = "ana"
			}
			backend.must(t, http.StatusCreated, http.MethodPost, "/groups",
				object{"name": fmt.Sprint("g", i), "ownerId": owner, "ownerName": "Old", "visibility": "public", "joinPolicy": "request"}, &g)
			groups[i] = g.ID
			if i >= joined {
				bo.must(t, http.StatusAccepted, http.MethodPost, "/groups/"+g.ID+"/join", nil, nil)
			}
		})
	}
	work.Wait()
	if t.Failed() {
		return
	}

	// The job starts with the newest groups. It waits for a group whose row is locked. Its node
	// is killed while it waits.
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	newestFirst := slices.Sorted(slices.Values(groups))
	slices.Reverse(newestFirst)
	lock := func(groupID string) (unlock func()) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), `SELECT 1 FROM groups WHERE id = $1 FOR UPDATE`, groupID); err != nil {
			t.Fatal(err)
		}
		return func() { _ = tx.Rollback() }
	}
	// named reports whether the user has the new name as a member and applicant in all these
	// groups.
	named := func(groupIDs []string) bool {
		t.Helper()
		for _, groupID := range groupIDs {
			var old int
			row := db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM members WHERE group_id = $1 AND user_id = 'bo' AND name = 'Old')
				+ (SELECT COUNT(*) FROM requests WHERE group_id = $1 AND user_id = 'bo' AND name = 'Old')`, groupID)
			if err := row.Scan(&old); err != nil {
				t.Fatal(err)
			}
			if old > 0 {
				return false
			}
		}
		return true
	}
	const claim = 10 * time.Second // the other node waits this long before it takes over the job
	stops := []int{20, 75}
	unlock := lock(newestFirst[stops[0]])
	// Only the first node runs when the job starts.
	second.Kill()
	var job struct{ JobID string }
	backend.must(t, http.StatusAccepted, http.MethodPatch, "/users/bo", object{"name": "Bo"}, &job)
	need(t, soon, "the first node renames up to the locked group", func() bool { return named(newestFirst[:stops[0]]) })
	next := lock(newestFirst[stops[1]])
	second.Restart()
	first.Kill()
	unlock()
	need(t, claim+soon, "the second node goes on", func() bool { return named(newestFirst[:stops[1]]) })
	if named(newestFirst[stops[1]:]) {
		t.Error("the job is done although a group is locked")
	}
	first.Restart()
	second.Kill()
	next()
	need(t, claim+soon, "the first node ends the job", func() bool { return named(newestFirst) })

	for i, groupID := range groups {
		path := "/groups/" + groupID
		var named page[struct{ UserID, Name string }]
		list, told := "/members", 1
		if i >= joined {
			list, told = "/requests", 0
		}
		backend.must(t, http.StatusOK, http.MethodGet, path+list, nil, &named)
		if len(named.Items) != 1 || named.Items[0].Name != "Bo" {
			t.Errorf("group %d lists %+v", i, named.Items)
		}
		var events []event
		for _, e := range wholeLog(t, backend, groupID) {
			if e.Type == "member.updated" {
				events = append(events, e)
			}
		}
		var m struct{ UserID, Name string }
		if len(events) != told || told > 0 && (json.Unmarshal(events[0].Data, &m) != nil || m.UserID != "bo" || m.Name != "Bo") {
			t.Errorf("group %d was told %d times: %+v", i, len(events), events)
		}
	}
}
