package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestPresenceHooksLoseNothing makes members connect and disconnect while no node reaches the
// database, and while the group role moves to another Redis. At the end, the receiver must know
// the status of each member.
func TestPresenceHooksLoseNothing(t *testing.T) {
	t.Parallel()
	one, two, postgres := redistest.Start(t), redistest.Start(t), pgtest.Start(t)
	link := proxytest.Start(t, postgres.Addr())
	database := strings.Replace(postgres.NewDatabase(t), postgres.Addr(), link.Addr(), 1)
	d := &deployment{token: func(user string) string { return mint(user, time.Hour) }}
	for range 2 {
		d.nodes = append(d.nodes, startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+one.URL(), "MOIM_DATABASE_URL="+database, "MOIM_GROUP_PRESENCE_GRACE=1s", "MOIM_HOOK_PRIVATE=true"))
	}
	ops := api{base: d.nodes[0].URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	r := newPresenceReceiver(t)
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "presence", "url": r.URL, "events": []string{"presence.*"}, "secret": hookSecret}, nil)
	var users []string
	for i := range 4 {
		users = append(users, fmt.Sprint("u", i))
	}
	groupID := newGroup(t, d, users...)
	for node := range d.nodes {
		need(t, soon, "the node knows the hook", func() bool { // the node reads the hooks every second
			probe := newGroup(t, d)
			d.ws(t, node, "ana").subscribe(probe)
			return wait(time.Second, func() bool { return len(r.of(probe, "ana")) > 0 })
		})
	}
	here := map[string]*client{}
	for i, user := range users {
		here[user] = d.ws(t, i, user)
		here[user].subscribe(groupID)
		r.need(t, groupID, user, soon, "online")
	}

	need(t, soon, "no delivery is in progress, which would block its group until its claim expires", func() bool {
		var waiting page[object]
		ops.must(t, http.StatusOK, http.MethodGet, "/hooks/presence/groups", nil, &waiting)
		return len(waiting.Items) == 0
	})

	link.Cut()
	for _, user := range users[:2] {
		here[user].conn.close()
		delete(here, user)
	}
	waits := regexp.MustCompile(`(?m)^moim_hook_presence_unstored [1-9]`)
	need(t, soon, "changes that cannot be stored are counted", func() bool { return waits.MatchString(d.nodes[0].metrics() + d.nodes[1].metrics()) })
	link.Heal()
	settled := func(user string) bool {
		want := "offline"
		if here[user] != nil {
			want = "online"
		}
		told := r.of(groupID, user)
		return len(told) > 0 && told[len(told)-1] == want
	}
	for _, user := range users {
		need(t, time.Minute, "after the outage, the receiver knows how "+user+" is", func() bool { return settled(user) })
	}

	m := startMove(t, d, "group", "--to", two.URL())
	moved := make(chan error, 1)
	go func() { moved <- m.cmd.Wait() }()
	for n, over := 0, false; !over; n++ {
		user := users[n%len(users)]
		if here[user] != nil {
			here[user].conn.close()
			delete(here, user)
		} else {
			here[user] = d.ws(t, n, user)
			here[user].subscribe(groupID)
		}
		select {
		case err := <-moved:
			if over = true; err != nil {
				t.Fatalf("the move: %v\n%s", err, m.printed.String())
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, user := range users {
		need(t, 2*time.Minute, "after the move, the receiver knows how "+user+" is", func() bool { return settled(user) })
	}
	r.check(t)
}
