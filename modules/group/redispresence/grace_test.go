package redispresence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestGraceOutlivesItsNode checks that a grace ends, and is reported, although the node
// that began it is dead.
func TestGraceOutlivesItsNode(t *testing.T) {
	t.Parallel()
	const grace = 5 * time.Second // long enough to return in time on a busy machine
	s := redistest.Start(t)
	dead, a, b := startNodeGrace(t, s.URL(), grace), startNodeGrace(t, s.URL(), grace), startNodeGrace(t, s.URL(), grace)
	dead.apply(t, "g", "+ana", "+bo", "+cy", "+dee")
	want(t, "reported", dead.apply(t, "g", "~ana", "~bo"), []string{"ana reconnecting dropped", "bo reconnecting dropped"})
	redispresence.Kill(dead.Store)
	want(t, "reported for one who returns", a.apply(t, "g", "+bo"), []string{"bo online"})
	waittest.Until(t, "the end of ana's grace and the users of the dead node are reported", func() bool { return len(news(a, b)) == 3 })
	want(t, "reported", news(a, b), []string{"g ana offline dropped", "g cy reconnecting node_lost", "g dee reconnecting node_lost"})
	want(t, "reported for another who returns", b.apply(t, "g", "+dee"), []string{"dee online"})
	waittest.Until(t, "the end of the last grace is reported", func() bool { return len(news(a, b)) == 4 })
	passing(grace + redispresence.Lease)
	want(t, "reported in the end", news(a, b), []string{
		"g ana offline dropped", "g cy offline node_lost", "g cy reconnecting node_lost", "g dee reconnecting node_lost",
	})
	want(t, "online", a.listed(t, "g", "online"), "bo dee")
	want(t, "offline", b.listed(t, "g", "offline"), "ana cy")
}

// TestGraceOutlivesItsHeirs kills a node, and then the node that took over its grace and
// began graces for its users. A third node must end these graces.
func TestGraceOutlivesItsHeirs(t *testing.T) {
	t.Parallel()
	const grace = 8 * redispresence.Lease // long enough for the last node to end it, even on a busy machine
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	first, second := startNodeGrace(t, s.URL(), grace), newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	second.grace = grace
	second.start(t)
	first.apply(t, "g", "+bo")
	first.apply(t, "h", "+ana")
	first.apply(t, "h", "~ana")
	redispresence.Kill(first.Store)
	waittest.Until(t, "the second node takes over", func() bool {
		fields, err := s.Client().HKeys(t.Context(), "moim:presence:nodes").Result()
		return err == nil && !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "d ") }) && len(news(second)) > 0
	})
	p.Cut() // afterwards the node registers its users again, but it has none
	waittest.Until(t, "the second node notices the outage", func() bool { return second.listed(t, "g", "reconnecting") != "bo" })
	passing(redispresence.Lease / 3)
	p.Heal()
	waittest.Until(t, "the second node is connected again", func() bool { return second.listed(t, "g", "reconnecting") == "bo" })
	passing(redispresence.Lease / 3)
	redispresence.Kill(second.Store)
	third := startNodeGrace(t, s.URL(), grace)
	waittest.Until(t, "the ends of both graces are reported", func() bool { return len(news(third)) == 2 })
	want(t, "reported", news(third), []string{"g bo offline node_lost", "h ana offline dropped"})
}

// TestGracesEndWhileTheyBegin checks graces that end before the call that began them has
// returned.
func TestGracesEndWhileTheyBegin(t *testing.T) {
	t.Parallel()
	const rounds, users = 3, 2500
	n := startNodeGrace(t, redistest.Start(t).URL(), time.Nanosecond)
	var come, drop []string
	for u := range users {
		come, drop = append(come, fmt.Sprint("+u", u)), append(drop, fmt.Sprint("~u", u))
	}
	for round := 1; round <= rounds; round++ {
		n.apply(t, "g", come...)
		n.apply(t, "g", drop...)
		waittest.Until(t, "the ends of all graces are reported", func() bool { return len(news(n)) == round*users })
	}
}

// TestEndIsToldAlthoughItsAnswerIsLost has the server end graces while its answers to the
// node are lost. The ends must still be reported, once.
func TestEndIsToldAlthoughItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	const grace = redispresence.Lease / 4 // shorter than the lease
	for name, heir := range map[string]bool{"by the node": false, "by another one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			p := proxytest.Start(t, s.Addr())
			n := newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
			n.grace = grace
			n.start(t)
			other := startNodeGrace(t, s.URL(), grace)
			n.apply(t, "g", "+ana", "+bo", "+cy", "+dee")
			n.apply(t, "g", "~dee")
			waittest.Until(t, "the end of dee's grace is reported, and the server has the scripts", func() bool { return len(news(n)) == 1 })
			n.apply(t, "g", "~ana", "~bo")
			p.Lose(proxytest.ToClient)
			waittest.Until(t, "the server ends the graces", func() bool {
				waiting, err := s.Client().Keys(t.Context(), "*:graces").Result()
				return err == nil && len(waiting) == 0
			})
			want(t, "reported for one who returns", other.apply(t, "g", "+bo"), []string{"bo online"})
			if heir {
				redispresence.Kill(n.Store)
			} else {
				p.Heal()
			}
			waittest.Until(t, "ana is reported offline", func() bool { return slices.Contains(news(n, other), "g ana offline dropped") })
			passing(2 * redispresence.Lease)
			told := slices.DeleteFunc(news(n, other), func(text string) bool { return !strings.Contains(text, "offline dropped") })
			want(t, "reported in the end", told, []string{"g ana offline dropped", "g dee offline dropped"})
		})
	}
}

// TestServerForgetsGraces checks that the nodes restore graces and states after the server
// lost its data.
func TestServerForgetsGraces(t *testing.T) {
	t.Parallel()
	const grace = 5 * time.Second
	s := redistest.Start(t)
	a, b := startNodeGrace(t, s.URL(), grace), startNodeGrace(t, s.URL(), grace)
	a.apply(t, "g", "+ana", "+bo", "+cy")
	for _, user := range []string{"ana", "cy"} {
		if _, err := a.SetState(t.Context(), "g", user, json.RawMessage(`{"of":"`+user+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	a.apply(t, "g", "~ana", "~bo")
	b.apply(t, "g", "+bo")
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "all users are restored", func() bool {
		return a.lists(t, "g", "bo cy") && b.lists(t, "g", "bo cy") && b.listed(t, "g", "reconnecting") == "ana"
	})
	present, err := b.List(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range present {
		if p.UserID != "bo" && string(p.State) != `{"of":"`+p.UserID+`"}` {
			t.Errorf("the state of %s is %s", p.UserID, p.State)
		}
	}
	waittest.Until(t, "the end of ana's grace is reported", func() bool { return len(news(a, b)) > 0 })
	passing(grace)
	want(t, "reported", news(a, b), []string{"g ana offline dropped"})
}

// TestServerForgetsThoseWhoGo has users who leave after the server lost its data and before
// a node has noticed that.
func TestServerForgetsThoseWhoGo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNodeGrace(t, s.URL(), redispresence.Lease)
	n.apply(t, "g", "+ana", "+bo")
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	var told []string
	waittest.Until(t, "the changes are stored", func() (ok bool) {
		var err error
		told, err = n.try(t.Context(), "g", "~ana", "-bo")
		return err == nil
	})
	want(t, "reported", told, []string{"ana reconnecting dropped", "bo offline left"})
	waittest.Until(t, "the grace ends", func() bool { return cmp.Equal(news(n), []string{"g ana offline dropped"}) })
}

// TestExpelledNodeTellsNothingTwice has users leave a node that cannot reach the server.
// The other nodes consider the node dead. When it is back, it must not report these users
// again.
func TestExpelledNodeTellsNothingTwice(t *testing.T) {
	t.Parallel()
	const grace = redispresence.Lease
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a := startNodeGrace(t, s.URL(), grace)
	lost := newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	lost.grace = grace
	lost.start(t)
	lost.apply(t, "g", "+ana", "+bo", "+cy")
	lost.apply(t, "g", "~cy")
	p.Cut()
	if _, err := lost.try(t.Context(), "g", "~ana"); err == nil {
		t.Error("a change was stored without a server")
	}
	expected := []string{
		"g ana offline node_lost", "g ana reconnecting node_lost", "g bo offline node_lost", "g bo reconnecting node_lost", "g cy offline dropped",
	}
	waittest.Until(t, "all users are reported offline", func() bool { return cmp.Equal(news(a), expected) })
	p.Heal()
	waittest.Until(t, "bo, who is still connected, is reported online", func() bool { return cmp.Equal(news(lost), []string{"g bo online"}) })
	waittest.Until(t, "the node can store changes again", func() bool {
		told, err := lost.try(t.Context(), "g", "~ana")
		if len(told) > 0 {
			t.Errorf("reported %v", told)
		}
		return err == nil
	})
	passing(2 * grace)
	expected = append(expected, "g bo online")
	slices.Sort(expected)
	want(t, "reported in the end", news(a, lost), expected)
	want(t, "online", a.listed(t, "g", "online"), "bo")
}

// TestLapsedNodeDoesNotWrite checks that a node with an expired lease does not write under
// its old id.
func TestLapsedNodeDoesNotWrite(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a, still := startNode(t, s.URL()), startNode(t, s.URLVia(p.Addr()))
	still.apply(t, "g", "+ana")
	redispresence.Kill(still.Store) // the node still works, but does not renew its lease
	waittest.Until(t, "the node is considered dead", func() bool { return cmp.Equal(news(a), []string{"g ana reconnecting node_lost"}) })
	for _, change := range []string{"+bo", "~ana"} {
		if told, err := still.try(t.Context(), "g", change); err == nil {
			t.Errorf("%s was stored, and %v was reported", change, told)
		}
	}
	want(t, "online", a.listed(t, "g", "online"), "")
	want(t, "reconnecting", a.listed(t, "g", "reconnecting"), "ana")
}

// TestCost has 1,000 members come and go at once. The number of calls and messages must
// depend on the number of batches, not of members.
func TestCost(t *testing.T) {
	t.Parallel()
	const members = 1000
	s := redistest.Start(t)
	m := s.Monitor()
	r := &room{statuses: make(map[string][]string)}
	n := newNode(t, redisrole.Config{URL: s.URL()})
	p := presence.New(group.Config{PresenceWindow: 200 * time.Millisecond, PresenceGrace: 3 * time.Second}, n.Store, r, slog.New(slog.DiscardHandler))
	began := time.Now()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	all := func(status string) func() bool {
		return func() bool {
			for i := range members {
				if sent := r.sent(fmt.Sprint("u", i)); len(sent) == 0 || sent[len(sent)-1] != status {
					return false
				}
			}
			return true
		}
	}
	for i := range members {
		p.Subscribed("g", fmt.Sprint("u", i))
	}
	waittest.Until(t, "all are online", all("online"))
	for i := range members {
		p.Unsubscribed("g", fmt.Sprint("u", i), "dropped")
	}
	waittest.Until(t, "all are reconnecting", all("reconnecting"))
	waittest.Until(t, "all are offline", all("offline"))
	calls := 0
	for _, c := range m.Commands() {
		if c.Client != "lua" && c.Is("evalsha") {
			calls++
		}
	}
	r.mu.Lock()
	messages := r.messages
	r.mu.Unlock()
	t.Logf("%d members came and went in %d messages and %d calls", members, messages, calls)
	if messages > 10 {
		t.Errorf("%d messages, want at most 10", messages)
	}
	if most := 16 + int(time.Since(began)/redispresence.Renew); calls > most {
		t.Errorf("%d calls, want %d at most", calls, most)
	}
}

// TestServerLosesLastWrites simulates a failover that loses the last writes: users who came
// and users who left. The node must correct the server's data.
func TestServerLosesLastWrites(t *testing.T) {
	t.Parallel()
	const grace = redispresence.Lease / 2
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	n.grace = grace
	n.start(t)
	n.apply(t, "g", "+ana")
	n.apply(t, "h", "+eve")
	key := usersKey(t, s)
	id := s.Client().HGet(t.Context(), key, "ana").Val()
	n.apply(t, "g", "-ana", "+bo")
	n.apply(t, "h", "-eve")
	p.Cut()
	waittest.Until(t, "the node notices the outage", func() bool { return n.listed(t, "g", "online") != "bo" })
	for hash, user := range map[string]string{key: "ana", strings.Replace(key, "{g}", "{h}", 1): "eve"} {
		if err := s.Client().HSet(t.Context(), hash, user, id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client().HDel(t.Context(), key, "bo").Err(); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	waittest.Until(t, "bo is listed", func() bool { return n.lists(t, "g", "bo") })
	waittest.Until(t, "the changes of the other users are reported", func() bool { return len(news(n)) == 4 })
	want(t, "reported", news(n), []string{
		"g ana offline dropped", "g ana reconnecting dropped", "h eve offline dropped", "h eve reconnecting dropped",
	})
}

// TestServerLosesLastWritesOfAGroupLeft simulates a failover that loses that a user left a
// group. The node no longer has users in this group, but must check it later.
func TestServerLosesLastWritesOfAGroupLeft(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL()})
	n.start(t)
	n.apply(t, "g", "+eve")
	key := usersKey(t, s)
	id := s.Client().HGet(t.Context(), key, "eve").Val()
	n.apply(t, "g", "-eve")
	if err := s.Client().HSet(t.Context(), key, "eve", id).Err(); err != nil {
		t.Fatal(err)
	}
	announce := func(check bool) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return redispresence.Announce(ctx, n.Store, check)
	}
	if err := announce(false); err != nil {
		t.Fatal(err)
	}
	want(t, "reported without a check", news(n), nil)
	if err := announce(true); err != nil {
		t.Fatal(err)
	}
	want(t, "reported", news(n), []string{"g eve reconnecting dropped"})
}

// TestRegistrationEndsAGrace has a user who leaves a node while a second store of the same
// node registers the user on the same server. The registration ends the grace and reports
// the user online.
func TestRegistrationEndsAGrace(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n, second := startNode(t, s.URL()), newNode(t, redisrole.Config{URL: s.URL()})
	n.apply(t, "g", "+ana", "+bo")
	second.Inherit(n.Store)
	want(t, "ana leaves", n.apply(t, "g", "~ana"), []string{"ana reconnecting dropped"})
	second.start(t)
	waittest.Until(t, "ana is reported online", func() bool { return cmp.Equal(news(second), []string{"g ana online"}) })
	want(t, "ana returns", n.apply(t, "g", "+ana"), nil)
}
