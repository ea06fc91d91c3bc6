package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestT64ScheduledEnd schedules a group's reminder and end on a node and kills it. Both must come
// once, within a second of their time, to the members on every node, even if the times were
// changed. If no node runs at their time, they must come at the next start.
func TestT64ScheduledEnd(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 3, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	const setter = 2
	groupID, moved, missed := newGroup(t, d, "bo"), newGroup(t, d, "bo"), newGroup(t, d, "bo")
	sooner := time.Now().Add(8 * time.Second).UTC() // late enough to be set in time on a busy machine
	for _, at := range []time.Time{time.Now().Add(time.Hour), sooner} {
		d.api(setter, "ana").must(t, http.StatusOK, http.MethodPatch, "/groups/"+moved, object{"endsAt": at}, nil)
	}
	end := time.Now().Add(9 * time.Second).UTC()
	d.api(setter, "ana").must(t, http.StatusOK, http.MethodPatch, "/groups/"+groupID, object{"endsAt": end, "remindBefore": []int{1}}, nil)
	all := []*client{d.io(t, 0, "ana"), d.ws(t, 1, "bo")}
	for _, c := range all {
		c.resume(groupID, 2) // created, bo joined: the client gets all later events even on a slow machine
		c.resume(moved, 2)
	}
	d.nodes[setter].Kill()
	for _, c := range all {
		need(t, time.Until(end)+soon, c.name+" is told of the end", func() bool { return hasType(c, groupID, "group.ended") })
		var times []time.Time
		for _, e := range c.stream(groupID).received() {
			if e.Type == "group.reminder" || e.Type == "group.ended" {
				times = append(times, e.At)
			}
		}
		if len(times) != 2 {
			t.Fatalf("%s: %d reminders and ends, want one of each", c.name, len(times))
		}
		need(t, time.Until(sooner)+soon, c.name+" is told of the end that was moved", func() bool { return hasType(c, moved, "group.ended") })
		ends := c.stream(moved).received()
		t.Logf("T64: %s: the reminder was %s late, the end %s, the moved end %s", c.name, times[0].Sub(end.Add(-time.Second)), times[1].Sub(end), ends[len(ends)-1].At.Sub(sooner))
	}
	d.api(1, "bo").mustRefuse(t, http.StatusConflict, "group_ended", http.MethodPost, "/groups/"+groupID+"/messages", object{"data": 1})

	end = time.Now().Add(6 * time.Second).UTC()
	d.api(0, "ana").must(t, http.StatusOK, http.MethodPatch, "/groups/"+missed, object{"endsAt": end}, nil)
	d.nodes[0].Kill()
	d.nodes[1].Kill()
	need(t, time.Until(end)+soon, "the end has come", func() bool { return time.Now().After(end) })
	d.nodes[0].Restart()
	need(t, soon, "the missed end is executed", func() bool {
		var g struct {
			EndedAt *time.Time `json:"endedAt"`
		}
		d.api(0, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+missed, nil, &g)
		return g.EndedAt != nil
	})
}

func hasType(c *client, groupID, typ string) bool {
	for _, e := range c.stream(groupID).received() {
		if e.Type == typ {
			return true
		}
	}
	return false
}
