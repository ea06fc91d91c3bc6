package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestT36EverybodyComesBack kills and restarts the node of all sockets of a group. All of them
// reconnect at once, while messages are posted. Each must receive what it missed. Together they
// may cost two reads of the log, and two more for the new message.
func TestT36EverybodyComesBack(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	d := &deployment{nodes: []*node{n}, token: func(user string) string { return mint(user, time.Hour) }}
	members := inSoak(1000, 3000)
	f := newFleet(t, d, 1, members)
	post := func() {
		d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups/"+f.groups[0]+"/messages", object{"data": object{}}, nil)
	}
	post()
	n.Kill()
	f.needAll(soon, "every session notices", func(s *session) bool { return s.at.Load() < 0 })
	began := time.Now()
	n.Restart()
	post()
	f.needAll(answerWithin, "every session is subscribed again", func(s *session) bool { return s.follows.Load() == 2 })
	took, reads := time.Since(began), 0.0
	need(t, soon, "the node tells its metrics", func() bool { reads = n.Metric("moim_log_reads_total"); return reads >= 0 })
	t.Logf("%d sockets were back %s after the node, for %v reads of the log", members, took.Round(time.Millisecond), reads)
	// A page is shared for two seconds. On a busy machine the sockets need longer to reconnect,
	// and the pages are read again.
	if most := 2 + 2 + 2*(took/(2*time.Second)); reads == 0 || reads > float64(most) {
		t.Errorf("%v reads of the log for %d sockets in %s, want at most %d", reads, members, took, most)
	}
	post()
	f.needEveryEventOnce(0)
}
