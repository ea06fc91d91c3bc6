package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// readsToldTo returns the read mark of each member that a client has received.
func readsToldTo(t *testing.T, c *client, groupID string) map[string]int64 {
	t.Helper()
	reads := make(map[string]int64)
	for _, data := range c.pushes("group:read") {
		var push struct {
			GroupID string
			Items   []struct {
				UserID  string
				Version int64
			}
		}
		if err := json.Unmarshal(data, &push); err != nil || push.GroupID != groupID {
			t.Errorf("%s received %s, %v", c.name, data, err)
		}
		for _, item := range push.Items {
			reads[item.UserID] = max(reads[item.UserID], item.Version)
		}
	}
	return reads
}

// TestReadReceipts moves a read mark on one node, over HTTP or a socket. The subscribers on both
// nodes must be told if the group shows marks. A user outside the group must not be told.
func TestReadReceipts(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	groupID := newGroup(t, d, "bo", "cy")
	path := "/groups/" + groupID
	ana, bo, cy, eve := d.io(t, 0, "ana"), d.ws(t, 1, "bo"), d.io(t, 1, "cy"), d.ws(t, 0, "eve")
	members := []*client{ana, bo, cy}
	for _, c := range members {
		c.subscribe(groupID)
	}
	eve.mustRefuse("not_found", "group:subscribe", object{"groupId": groupID})

	bo.must("group:read", object{"groupId": groupID, "version": 1}, nil)
	d.api(0, "ana").must(t, http.StatusOK, http.MethodPatch, path, object{"readReceipts": true, "visibility": "public"}, nil)
	for _, c := range members {
		c.needVersion(groupID, 4, soon)
	}
	eve.mustRefuse("not_member", "group:subscribe", object{"groupId": groupID})
	bo.must("group:read", object{"groupId": groupID, "version": 3}, nil)
	d.api(0, "cy").must(t, http.StatusNoContent, http.MethodPut, path+"/read", object{"version": 3}, nil)
	backend := api{base: d.node(1).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	backend.must(t, http.StatusNoContent, http.MethodPut, path+"/read", object{"version": 4, "userId": "ana"}, nil)
	for _, c := range members {
		need(t, soon, c.name+" is told how far all have read", func() bool {
			reads := readsToldTo(t, c, groupID)
			return reads["bo"] == 3 && reads["cy"] == 3 && reads["ana"] == 4
		})
	}
	for i := range d.nodes {
		var listed page[struct {
			UserID      string
			ReadVersion int64
		}]
		d.api(i, "cy").must(t, http.StatusOK, http.MethodGet, path+"/members", nil, &listed)
		for _, m := range listed.Items {
			if want := map[string]int64{"ana": 4, "bo": 3, "cy": 3}[m.UserID]; m.ReadVersion != want {
				t.Errorf("node %d lists %+v, want %d", i, m, want)
			}
		}
	}
	if told := eve.pushes("group:read"); len(told) > 0 {
		t.Errorf("an outsider received %s", told)
	}
}
