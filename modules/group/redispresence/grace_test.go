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

// The node that began a grace is dead when it ends.
func TestGraceOutlivesItsNode(t *testing.T) {
	t.Parallel()
	const grace = 5 * time.Second // who comes back is in time on a busy machine, too
	s := redistest.Start(t)
	dead, a, b := startNodeGrace(t, s.URL(), grace), startNodeGrace(t, s.URL(), grace), startNodeGrace(t, s.URL(), grace)
	dead.apply(t, "g", "+ana", "+bo", "+cy", "+dee")
	want(t, "told", dead.apply(t, "g", "~ana", "~bo"), []string{"ana reconnecting dropped", "bo reconnecting dropped"})
	redispresence.Kill(dead.Store)
	want(t, "told of one who comes back", a.apply(t, "g", "+bo"), []string{"bo online"})
	waittest.Until(t, "who was waited for is told, and those whose node died", func() bool { return len(news(a, b)) == 3 })
	want(t, "told", news(a, b), []string{"g ana offline dropped", "g cy reconnecting node_lost", "g dee reconnecting node_lost"})
	want(t, "told of another who comes back", b.apply(t, "g", "+dee"), []string{"dee online"})
	waittest.Until(t, "the last one is told", func() bool { return len(news(a, b)) == 4 })
	passing(grace + redispresence.Lease)
	want(t, "told in the end", news(a, b), []string{
		"g ana offline dropped", "g cy offline node_lost", "g cy reconnecting node_lost", "g dee reconnecting node_lost",
	})
	want(t, "online", a.listed(t, "g", "online"), "bo dee")
	want(t, "offline", b.listed(t, "g", "offline"), "ana cy")
}

// The node that took over a grace dies as well, and with it one whose users it
// had just been made to wait for.
func TestGraceOutlivesItsHeirs(t *testing.T) {
	t.Parallel()
	const grace = 8 * redispresence.Lease // on a busy machine, too, the last node ends it
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	first, second := startNodeGrace(t, s.URL(), grace), newNode(t, redisrole.Config{URL: s.URLVia(p.Addr())})
	second.grace = grace
	second.start(t)
	first.apply(t, "g", "+bo")
	first.apply(t, "h", "+ana")
	first.apply(t, "h", "~ana")
	redispresence.Kill(first.Store)
	waittest.Until(t, "the second takes over", func() bool {
		fields, err := s.Client().HKeys(t.Context(), "moim:presence:nodes").Result()
		return err == nil && !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "d ") }) && len(news(second)) > 0
	})
	p.Cut() // after this it enters its users again, and has none
	waittest.Until(t, "it notices", func() bool { return second.listed(t, "g", "reconnecting") != "bo" })
	passing(redispresence.Lease / 3)
	p.Heal()
	waittest.Until(t, "it is back", func() bool { return second.listed(t, "g", "reconnecting") == "bo" })
	passing(redispresence.Lease / 3)
	redispresence.Kill(second.Store)
	third := startNodeGrace(t, s.URL(), grace)
	waittest.Until(t, "both are told", func() bool { return len(news(third)) == 2 })
	want(t, "told", news(third), []string{"g bo offline node_lost", "h ana offline dropped"})
}

// Graces end while the call that begins them, in several round trips, goes on.
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
		waittest.Until(t, "all are told", func() bool { return len(news(n)) == round*users })
	}
}

// The server ends graces, and the node does not get the answer.
func TestEndIsToldAlthoughItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	const grace = redispresence.Lease / 4 // the lease outlasts it
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
			waittest.Until(t, "dee is told, and the server has the scripts", func() bool { return len(news(n)) == 1 })
			n.apply(t, "g", "~ana", "~bo")
			p.Lose(proxytest.ToClient)
			waittest.Until(t, "the server ends the graces", func() bool {
				waiting, err := s.Client().Keys(t.Context(), "*:graces").Result()
				return err == nil && len(waiting) == 0
			})
			want(t, "told of one who comes back", other.apply(t, "g", "+bo"), []string{"bo online"})
			if heir {
				redispresence.Kill(n.Store)
			} else {
				p.Heal()
			}
			waittest.Until(t, "ana is told to be offline", func() bool { return slices.Contains(news(n, other), "g ana offline dropped") })
			passing(2 * redispresence.Lease)
			told := slices.DeleteFunc(news(n, other), func(text string) bool { return !strings.Contains(text, "offline dropped") })
			want(t, "told in the end", told, []string{"g ana offline dropped", "g dee offline dropped"})
		})
	}
}

// The server loses its graces.
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
	waittest.Until(t, "all is as it was", func() bool {
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
	waittest.Until(t, "who does not come back is told", func() bool { return len(news(a, b)) > 0 })
	passing(grace)
	want(t, "told", news(a, b), []string{"g ana offline dropped"})
}

// Users go after the server lost its data and before any node has noticed.
func TestServerForgetsThoseWhoGo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNodeGrace(t, s.URL(), redispresence.Lease)
	n.apply(t, "g", "+ana", "+bo")
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	var told []string
	waittest.Until(t, "it is stored", func() (ok bool) {
		var err error
		told, err = n.try(t.Context(), "g", "~ana", "-bo")
		return err == nil
	})
	want(t, "told", told, []string{"ana reconnecting dropped", "bo offline left"})
	waittest.Until(t, "the grace ends", func() bool { return cmp.Equal(news(n), []string{"g ana offline dropped"}) })
}

// A node is considered dead while users go from it and it cannot store that.
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
		t.Error("stored without a server")
	}
	expected := []string{
		"g ana offline node_lost", "g ana reconnecting node_lost", "g bo offline node_lost", "g bo reconnecting node_lost", "g cy offline dropped",
	}
	waittest.Until(t, "all are told to be offline", func() bool { return cmp.Equal(news(a), expected) })
	p.Heal()
	waittest.Until(t, "bo, who is still there, is told to be", func() bool { return cmp.Equal(news(lost), []string{"g bo online"}) })
	waittest.Until(t, "it stores again", func() bool {
		told, err := lost.try(t.Context(), "g", "~ana")
		if len(told) > 0 {
			t.Errorf("told %v", told)
		}
		return err == nil
	})
	passing(2 * grace)
	expected = append(expected, "g bo online")
	slices.Sort(expected)
	want(t, "told in the end", news(a, lost), expected)
	want(t, "online", a.listed(t, "g", "online"), "bo")
}

// A node whose lease expired does not write under its old id.
func TestLapsedNodeDoesNotWrite(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a, still := startNode(t, s.URL()), startNode(t, s.URLVia(p.Addr()))
	still.apply(t, "g", "+ana")
	redispresence.Kill(still.Store) // its lease is not renewed, and that is all
	waittest.Until(t, "it is taken for dead", func() bool { return cmp.Equal(news(a), []string{"g ana reconnecting node_lost"}) })
	for _, change := range []string{"+bo", "~ana"} {
		if told, err := still.try(t.Context(), "g", change); err == nil {
			t.Errorf("%s was stored, and told %v", change, told)
		}
	}
	want(t, "online", a.listed(t, "g", "online"), "")
	want(t, "reconnecting", a.listed(t, "g", "reconnecting"), "ana")
}

// TestCost has a thousand members come and go at once: it costs round trips and
// messages by the batch, not by the member.
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
		t.Errorf("%d messages", messages)
	}
	if most := 16 + int(time.Since(began)/redispresence.Renew); calls > most {
		t.Errorf("%d calls, want %d at most", calls, most)
	}
}

// A failover loses the server's last writes: who came, who went, and where.
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
	waittest.Until(t, "the outage is noticed", func() bool { return n.listed(t, "g", "online") != "bo" })
	for hash, user := range map[string]string{key: "ana", strings.Replace(key, "{g}", "{h}", 1): "eve"} {
		if err := s.Client().HSet(t.Context(), hash, user, id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client().HDel(t.Context(), key, "bo").Err(); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	waittest.Until(t, "bo is there", func() bool { return n.lists(t, "g", "bo") })
	waittest.Until(t, "the others are not", func() bool { return len(news(n)) == 4 })
	want(t, "told", news(n), []string{
		"g ana offline dropped", "g ana reconnecting dropped", "h eve offline dropped", "h eve reconnecting dropped",
	})
}

// A failover loses that a user went, while this node enters its users for another reason:
// the group that it left is still looked through later.
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
	want(t, "told without a look", news(n), nil)
	if err := announce(true); err != nil {
		t.Fatal(err)
	}
	want(t, "told", news(n), []string{"g eve reconnecting dropped"})
}

// A user leaves while a second store of the node registers them, on the same server: it ends
// their grace, and reports that they are online.
func TestRegistrationEndsAGrace(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n, second := startNode(t, s.URL()), newNode(t, redisrole.Config{URL: s.URL()})
	n.apply(t, "g", "+ana", "+bo")
	second.Inherit(n.Store)
	want(t, "ana leaves", n.apply(t, "g", "~ana"), []string{"ana reconnecting dropped"})
	second.start(t)
	waittest.Until(t, "it is reported", func() bool { return cmp.Equal(news(second), []string{"g ana online"}) })
	want(t, "ana returns", n.apply(t, "g", "+ana"), nil)
}
