package e2e

import (
	"net/http"
	"testing"
	"time"
)

// TestT36EverybodyComesBack: the node of a group's sockets dies and is started
// again: all of them come back at once. Each has what it missed, and together
// they cost a few reads of the log, and four a second.
func TestT36EverybodyComesBack(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	d := &deployment{nodes: []*node{n}, token: func(user string) string { return mint(user, time.Hour) }}
	members := inSoak(300, 500)
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
	reads := n.Metric("moim_log_reads_total")
	took := time.Since(began)
	t.Logf("%d sockets were back %s after the node, for %v reads of the log", members, took.Round(time.Millisecond), reads)
	if reads <= 0 || reads > 10+4*took.Seconds() {
		t.Errorf("%v reads of the log for %d sockets", reads, members)
	}
	post()
	f.needHeads(0)
}
