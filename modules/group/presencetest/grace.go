package presencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group/presence"
)

func testWait(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.apply(t, "g", "+ana", "+bo")
	want(t, "reported", n.apply(t, "g", "~ana"), "ana reconnecting dropped")
	want(t, "present", n.list(t, "g"), "ana reconnecting", "bo online")
	want(t, "details", n.details(t, "g"), "ana because dropped", "bo on node-0")
	want(t, "reported", n.apply(t, "g", "-ana"), "ana offline left")
	want(t, "present", n.list(t, "g"), "ana offline", "bo online")
	n.apply(t, "g", "~bo")
	want(t, "reported", n.apply(t, "g", "!bo"), "bo offline removed")
	want(t, "present", n.list(t, "g"), "ana offline")
	want(t, "reported by the store", news(nodes...))
}

func testGraceEnds(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.apply(t, "g", "+ana", "+bo", "+cy")
	n.apply(t, "h", "+ana")
	began := time.Now()
	n.apply(t, "g", "~ana", "-cy")
	n.apply(t, "h", "~ana")
	gone := time.Now()
	needNews(t, nodes, "g ana offline dropped", "h ana offline dropped")
	if took := time.Since(began); took < short {
		t.Errorf("a grace of %s took %s", short, took)
	}
	want(t, "present", n.list(t, "g"), "ana offline", "bo online", "cy offline")
	users, err := n.List(t.Context(), "h")
	if err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	if seen := users[0].LastSeenAt; seen.Before(began.Add(-short)) || seen.After(gone.Add(short/2)) {
		t.Errorf("last seen %s after the user began to leave, want at most %s", seen.Sub(began), gone.Sub(began))
	}
	want(t, "reported", n.apply(t, "g", "+ana"), "ana online")
	passing(2 * short)
	needNews(t, nodes, "g ana offline dropped", "h ana offline dropped")
}

func testManyGraces(t *testing.T, nodes []*node) {
	const groups, users = 3, 1200
	var come, drop []string
	expected := make(map[string]bool)
	for u := range users {
		come, drop = append(come, fmt.Sprint("+u", u)), append(drop, fmt.Sprint("~u", u))
		for g := range groups {
			expected[fmt.Sprintf("g%d u%d offline dropped", g, u)] = true
		}
	}
	for g := range groups {
		nodes[g%len(nodes)].apply(t, fmt.Sprint("g", g), come...)
		nodes[g%len(nodes)].apply(t, fmt.Sprint("g", g), drop...)
	}
	eventually(t, "all changes are reported", func() bool { return len(news(nodes...)) >= len(expected) })
	for _, text := range news(nodes...) {
		if !expected[text] {
			t.Fatalf("reported twice, or wrong: %s", text)
		}
		delete(expected, text)
	}
	if listed := len(nodes[0].list(t, "g0")); listed != presence.LatelyMax {
		t.Errorf("%d users are listed, want the %d who were online last", listed, presence.LatelyMax)
	}
}

func testReturn(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.apply(t, "g", "+ana", "+bo")
	n.apply(t, "g", "~ana", "~bo")
	want(t, "reported", n.apply(t, "g", "+ana"), "ana online again")
	want(t, "present", n.list(t, "g"), "ana online", "bo reconnecting")
	needNews(t, nodes, "g bo offline dropped")
	passing(short)
	want(t, "reported", news(nodes...), "g bo offline dropped")
	want(t, "present", n.list(t, "g"), "ana online", "bo offline")
}

// testWaitAgain checks that a user who returns and drops again gets the whole grace again.
func testWaitAgain(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.apply(t, "g", "+ana")
	n.apply(t, "g", "~ana")
	passing(long * 6 / 10)
	n.apply(t, "g", "+ana")
	n.apply(t, "g", "~ana")
	passing(long * 6 / 10) // the first grace would be over now
	want(t, "reported", news(nodes...))
	want(t, "present", n.list(t, "g"), "ana reconnecting")
	needNews(t, nodes, "g ana offline dropped")
}

func testLately(t *testing.T, nodes []*node) {
	n := nodes[0]
	for u := range presence.LatelyMax + 5 {
		user := fmt.Sprintf("u%03d", u)
		n.apply(t, "g", "+"+user)
		n.apply(t, "g", "-"+user)
	}
	listed := n.list(t, "g")
	if len(listed) != presence.LatelyMax {
		t.Fatalf("%d users are listed", len(listed))
	}
	n.apply(t, "g", "+u104")
	n.apply(t, "g", "!u103")
	listed = n.list(t, "g")
	if len(listed) != presence.LatelyMax-1 || listed[len(listed)-1] != "u104 online" {
		t.Errorf("listed: %v", listed)
	}
}

func testReturnElsewhere(t *testing.T, nodes []*node) {
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.apply(t, "g", "+ana", "+bo", "+cy")
	a.apply(t, "g", "~ana", "~bo", "~cy")
	want(t, "reported on b", b.apply(t, "g", "+ana", "+bo"), "ana online again", "bo online again")
	want(t, "reported on b", b.apply(t, "g", "-bo"), "bo offline left")
	want(t, "reported on c", c.apply(t, "g", "+ana"))
	want(t, "present", c.list(t, "g"), "ana online", "bo offline", "cy reconnecting")
	want(t, "reported on c, of a member who is removed while reconnecting", c.apply(t, "g", "!cy"), "cy offline removed")
	passing(long + short)
	want(t, "reported by the stores", news(nodes...))
	want(t, "present", c.list(t, "g"), "ana online", "bo offline")
}

func testFirstAndLast(t *testing.T, nodes []*node) {
	a, b, c := nodes[0], nodes[1], nodes[2]
	want(t, "reported on a", a.apply(t, "g", "+ana", "+bo"), "ana online", "bo online")
	want(t, "reported on b", b.apply(t, "g", "+ana", "+cy"), "cy online")
	want(t, "reported on c", c.apply(t, "g", "+ana"))
	for _, n := range nodes {
		want(t, "present", n.list(t, "g"), "ana online", "bo online", "cy online")
		want(t, "details", n.details(t, "g"), "ana on node-0 node-1 node-2", "bo on node-0", "cy on node-1")
	}
	want(t, "reported on a", a.apply(t, "g", "!ana", "!bo"), "bo offline removed")
	want(t, "present", c.list(t, "g"), "ana online", "cy online")
	want(t, "reported on c", c.apply(t, "g", "~ana"))
	want(t, "reported on b", b.apply(t, "g", "~ana"), "ana reconnecting dropped")
	want(t, "present", a.list(t, "g"), "ana reconnecting", "cy online")
	want(t, "reported by the stores", news(nodes...))
}

func testStopped(t *testing.T, nodes []*node) {
	nodes[0].apply(t, "g", "+ana", "+bo", "+cy")
	nodes[0].apply(t, "h", "+ana")
	nodes[1].apply(t, "g", "+bo")
	if err := nodes[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "present", nodes[1].list(t, "g"), "ana reconnecting", "bo online", "cy reconnecting")
	needNews(t, nodes[1:], "g ana reconnecting drained", "g cy reconnecting drained", "h ana reconnecting drained")
	want(t, "reported", nodes[2].apply(t, "g", "+cy"), "cy online again")
	needNews(t, nodes[1:], "g ana offline drained", "g ana reconnecting drained", "g cy reconnecting drained",
		"h ana offline drained", "h ana reconnecting drained")
	want(t, "reported by the one that stopped", news(nodes[0]))
}

func testStoppedWaiting(t *testing.T, nodes []*node) {
	nodes[0].apply(t, "g", "+ana", "+bo")
	nodes[0].apply(t, "g", "~ana", "~bo")
	if err := nodes[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes[2].apply(t, "g", "+bo")
	needNews(t, nodes[1:], "g ana offline dropped")
	passing(short)
	needNews(t, nodes, "g ana offline dropped")
	want(t, "present", nodes[1].list(t, "g"), "ana offline", "bo online")
}
