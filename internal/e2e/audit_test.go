package e2e

import (
	"context"
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

// auditEntry is an entry of the audit log, as docs/audit.md describes it.
type auditEntry struct {
	ID, Actor, Via, Action, GroupID, UserID string
	At                                      time.Time
	Before, After                           struct{ Group *struct{ Name string } }
}

// auditLog reads the audit log page by page, the newest entry first.
func auditLog(t *testing.T, a api, query string) []auditEntry {
	t.Helper()
	var all []auditEntry
	for cursor := ""; ; {
		var page struct {
			Items      []auditEntry
			NextCursor string
		}
		a.must(t, http.StatusOK, http.MethodGet, "/audit?limit=7&cursor="+cursor+query, nil, &page)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// TestAudit checks that the audit log and the group's log always agree. A back end changes a
// group and a user on one node, and reads the audit log on another one. While it renames the
// group again and again, its node is killed several times. The audit log must have exactly the
// renames of the group's log.
func TestAudit(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	groupID := newGroup(t, d)
	billing, reader := mint("billing", time.Hour, `"scope":"admin"`), mint("reader", time.Hour, `"scope":"admin audit:read"`)
	a, b := api{base: d.node(0).URL(), token: billing}, api{base: d.node(1).URL(), token: reader}
	d.api(1, "ana").mustRefuse(t, http.StatusForbidden, "forbidden", http.MethodGet, "/audit", nil)
	b.mustRefuse(t, http.StatusForbidden, "forbidden", http.MethodGet, "/groups/"+groupID, nil)
	if got := auditLog(t, b, ""); len(got) > 0 {
		t.Errorf("the audit log has changes of an ordinary user: %+v", got)
	}
	began := time.Now().Add(-time.Second)
	a.must(t, http.StatusOK, http.MethodPatch, "/groups/"+groupID, object{"name": "renamed"}, nil)
	a.must(t, http.StatusAccepted, http.MethodPatch, "/users/ana", object{"name": "Ana"}, nil)
	got := auditLog(t, b, "&actor=billing&since="+began.UTC().Format(time.RFC3339))
	if len(got) != 2 || got[0].Action != "rename-user" || got[0].UserID != "ana" || got[1].Action != "update" || got[1].GroupID != groupID ||
		got[1].Before.Group == nil || got[1].After.Group == nil || got[1].After.Group.Name != "renamed" {
		t.Fatalf("the audit log has %+v", got)
	}

	ctx, stop := context.WithCancel(t.Context())
	var renaming sync.WaitGroup
	for i := range 4 {
		renaming.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = a.do(ctx, http.MethodPatch, "/groups/"+groupID, object{"name": fmt.Sprintf("name %d of %d", n, i)}, nil)
			}
		})
	}
	for range 3 {
		count := len(auditLog(t, b, "&target="+groupID))
		need(t, soon, "more renames", func() bool { return len(auditLog(t, b, "&target="+groupID)) > count+20 })
		d.node(0).Kill()
		d.node(0).Restart()
	}
	stop()
	renaming.Wait()
	var recorded, logged []string
	need(t, soon, "the audit log and the group's log have the same renames", func() bool { // the last one may still be committing
		recorded, logged = recordedNames(t, b, groupID), loggedNames(t, d.api(1, "ana"), groupID)
		return slices.Equal(recorded, logged)
	})
	t.Logf("%d renames", len(logged))
}

// recordedNames returns the names that the audit log has for a group, in order.
func recordedNames(t *testing.T, a api, groupID string) (names []string) {
	t.Helper()
	for _, e := range auditLog(t, a, "&target="+groupID) {
		if e.Action == "update" {
			names = append(names, e.After.Group.Name)
		}
	}
	slices.Sort(names)
	return names
}

// loggedNames returns the names that the group's own log has, in order.
func loggedNames(t *testing.T, a api, groupID string) (names []string) {
	t.Helper()
	for since := int64(0); ; {
		var page struct{ Items []event }
		a.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/groups/%s/events?limit=200&since=%d", groupID, since), nil, &page)
		if len(page.Items) == 0 {
			slices.Sort(names)
			return names
		}
		for _, e := range page.Items {
			since = e.Version
			var data struct{ Name string }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			if e.Type == "group.updated" {
				names = append(names, data.Name)
			}
		}
	}
}
