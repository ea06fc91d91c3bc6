package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/modules/group"
)

// TestDefect01SessionStartsOnceAndAlwaysEnds lets many users join at the same time as the first
// participants. Then it kills one of the nodes, which may be the one that started the session.
func TestDefect01SessionStartsOnceAndAlwaysEnds(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	room := b.room(t, "leader", 0)
	var first sync.WaitGroup
	users := names("u", 16)
	clients, answers := make([]*client, len(users)), make([]entered, len(users))
	for i, user := range users {
		clients[i] = dial(t, []*node{a, b}[i%2].addr, user)
	}
	for i, c := range clients {
		first.Go(func() { answers[i] = c.join(room) })
	}
	first.Wait()
	a.kill()

	_, count := b.history(t, "leader", room)
	if count[group.GroupUpdated] != 1 {
		t.Errorf("the session started %d times", count[group.GroupUpdated])
	}
	started := 0
	for i, c := range clients {
		if !answers[i].EndAt.Equal(answers[0].EndAt) {
			t.Errorf("%s has another session, until %s", c.user, answers[i].EndAt)
		}
		if i%2 == 1 {
			c.fence(b, "leader", room)
			if n := len(c.told("room:started", room)); n > 1 {
				t.Errorf("%s was told %d times", c.user, n)
			} else {
				started += n
			}
		}
	}
	if started == 0 && len(clients[0].told("room:started", room)) == 0 {
		t.Error("no client was told that the session has started")
	}

	b.endIn(t, "leader", room, remind+soon)
	if left := clients[1].needs("room:reminder", room).SecondsLeft; left < 580 || left > 600 {
		t.Errorf("reminded %d s before the end", left)
	}
	end := b.endIn(t, "leader", room, soon)
	b.kill()
	await(t, "the end passes while no node runs", func() bool { return time.Now().After(end) })
	b.run()
	b.awaitReady()
	await(t, "the session has ended", func() bool {
		_, count = b.history(t, "leader", room)
		return count[group.GroupEnded] > 0
	})
	if count[group.GroupEnded] != 1 || count[group.GroupReminder] != 1 {
		t.Errorf("%d ends and %d reminders, want one of each", count[group.GroupEnded], count[group.GroupReminder])
	}
	if code := dial(t, b.addr, "late").ask("room:join", fields{"groupId": room}, nil); code != "group_ended" {
		t.Errorf("a user who joins after the end gets %q", code)
	}
}

// TestDefect02GraceNeedsNobodysMemory drops connections, kills a node with
// participants, and kills a node during a grace that it started.
func TestDefect02GraceNeedsNobodysMemory(t *testing.T) {
	t.Parallel()
	const grace = 10 * time.Second // long enough to reconnect on a busy machine
	a, b := pair(t, "MOIM_GROUP_PRESENCE_GRACE="+grace.String())
	room := b.room(t, "leader2", 0)
	watcher := dial(t, b.addr, "watcher")
	watcher.join(room)

	dropped := dial(t, a.addr, "returns")
	dropped.join(room)
	watcher.seesLast(room, "returns", group.StatusOnline)
	dropped.drop()
	watcher.sees("room:participantReconnecting", room, "returns")
	dial(t, b.addr, "returns").join(room)
	watcher.sees("room:participantReconnected", room, "returns")

	for _, user := range []string{"haunts", "moves"} {
		dial(t, a.addr, user).join(room)
		watcher.seesLast(room, user, group.StatusOnline)
	}
	waited := dial(t, a.addr, "waited")
	waited.join(room)
	watcher.seesLast(room, "waited", group.StatusOnline)
	waited.drop()
	watcher.sees("room:participantReconnecting", room, "waited")
	a.kill()                                  // its memory is lost
	in := dial(t, b.addr, "moves").join(room) // while the dead node still has its lease
	if in.count("moves") != 1 {
		t.Errorf("there are %+v", in.Members)
	}
	killed := time.Now()
	for _, user := range []string{"haunts", "waited"} {
		watcher.seesLast(room, user, group.StatusOffline)
	}
	if took := time.Since(killed); took > lease+grace+patience {
		t.Errorf("ghosts for %s", took)
	}
	in = watcher.join(room)
	if len(in.Members) != 3 || in.count("watcher")+in.count("returns")+in.count("moves") != 3 {
		t.Errorf("there are %+v", in.Members)
	}
	for _, c := range watcher.told("room:participantsChanged", room) {
		if c.Status == group.StatusOffline && (c.UserID == "returns" || c.UserID == "moves") {
			t.Errorf("%s reconnected but was reported as gone", c.UserID)
		}
	}
}

// TestDefect03EveryTabCounts opens several tabs for one user. No tab is refused,
// and closing one does not affect the others.
func TestDefect03EveryTabCounts(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader3", 0)
	watcher := dial(t, b.addr, "watcher")
	watcher.join(room)

	line := proxytest.Start(t, a.addr)
	halfOpen := dial(t, line.Addr(), "tabs")
	halfOpen.join(room)
	line.Freeze() // as when a laptop is closed: neither side notices
	second, third := dial(t, b.addr, "tabs"), dial(t, b.addr, "tabs")
	second.join(room)
	if in := third.join(room); in.count("tabs") != 1 {
		t.Errorf("somebody with three tabs is there %d times: %+v", in.count("tabs"), in.Members)
	}
	// A node reports its users to the others at intervals, all in one message. When the other
	// node hears of this later user, it also knows of the tabs. From then on it knows that the
	// user has sockets on both nodes, whatever happens to the laptop's sockets.
	dial(t, b.addr, "after the tabs").join(room)
	watcher.sees("room:participantsChanged", room, "after the tabs")
	second.drop()
	line.Drop()
	gone := time.Now()
	await(t, "the grace of a tab passes", func() bool { return time.Since(gone) > grace+time.Second })
	if in := watcher.join(room); in.count("tabs") != 1 || in.count("watcher") != 1 {
		t.Errorf("there are %+v", in.Members)
	}
	if n := len(watcher.told("room:participantReconnecting", room)); n != 0 {
		t.Errorf("%d connected users were reported as reconnecting", n)
	}
	third.leave(room)
	await(t, "the user who left in the last tab is gone", func() bool { return watcher.join(room).count("tabs") == 0 })
}

// TestDefect04ReturnIsNeverRefused lets a user return before, at and after the
// end of their grace. They are a participant each time, and joinedAt stays.
func TestDefect04ReturnIsNeverRefused(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader4", 0)
	c := dial(t, a.addr, "four")
	first := c.join(room).of("four").JoinedAt
	for i, pause := range []time.Duration{0, grace / 2, grace - 10*time.Millisecond, grace, grace + 10*time.Millisecond, grace + grace/2} {
		c.drop()
		dropped := time.Now()
		await(t, "the time to reconnect has come", func() bool { return time.Since(dropped) >= pause })
		c = dial(t, []*node{b, a}[i%2].addr, "four")
		in := c.join(room)
		if me := in.of("four"); in.count("four") != 1 || me.Status != group.StatusOnline || first.IsZero() || !me.JoinedAt.Equal(first) {
			t.Errorf("back after %s: %+v, want online since %s", pause, in.Members, first)
		}
	}
}

// TestDefect06EndFollowsTheDatabase moves the end of a running session to a later
// and to an earlier time.
func TestDefect06EndFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader6", 0)
	c := dial(t, b.addr, "six")
	in := c.join(room)
	if left := time.Until(in.EndAt); left > session || left < session-patience || in.RemainMs > session.Milliseconds() {
		t.Errorf("a session ends in %s (%d ms), want %s", left, in.RemainMs, session)
	}
	sooner := a.endIn(t, "leader6", room, soon)
	later := b.endIn(t, "leader6", room, 2*soon)
	await(t, "the first end passes", func() bool { return time.Now().After(sooner.Add(time.Second)) })
	if late := len(c.told("room:ended", room)); late != 0 && time.Now().Before(later) {
		t.Error("the session ended at the time that was moved")
	}
	c.needs("room:ended", room)
	if now := time.Now(); now.Before(later) {
		t.Errorf("the session ended %s before its time", later.Sub(now))
	}
	events, count := a.history(t, "leader6", room)
	last := events[len(events)-1]
	if count[group.GroupEnded] != 1 || last.Type != group.GroupEnded || last.At.Before(later) || last.At.After(later.Add(patience)) {
		t.Errorf("the session was to end at %s once; events: %+v", later, events)
	}
}

// TestDefect09NobodyHauntsTheNextSession empties a room, fills it again, and lets
// the session end while a participant is still there.
func TestDefect09NobodyHauntsTheNextSession(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader9", 0)
	first := dial(t, a.addr, "first")
	first.join(room)
	first.leave(room)
	second := dial(t, b.addr, "second")
	second.join(room)
	a.endIn(t, "leader9", room, soon)
	second.needs("room:ended", room)

	a.must(t, "leader9", http.MethodPatch, "/groups/"+room, fields{"endsAt": nil}, nil) // the next join starts another session
	third := dial(t, a.addr, "third")
	in := third.join(room)
	if left := time.Until(in.EndAt); left < session-patience {
		t.Errorf("the next session ends in %s", left)
	}
	third.needs("room:started", room)
	await(t, "only the users who joined are listed", func() bool {
		in = third.join(room)
		return len(in.Members) == 1 && in.count("third") == 1
	})
}
