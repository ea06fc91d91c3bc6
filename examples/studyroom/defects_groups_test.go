package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// TestDefect05CapacityHoldsAtOnce lets 20 users join at once on two nodes. There are four free
// seats.
func TestDefect05CapacityHoldsAtOnce(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader5", 5)
	users := names("seat", 20)
	codes := make([]string, len(users))
	clients := make([]*client, len(users))
	for i, user := range users {
		clients[i] = dial(t, []*node{a, b}[i%2].addr, user)
	}
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { codes[i] = c.ask("room:join", fields{"groupId": room}, nil) })
	}
	all.Wait()
	in := 0
	for i, code := range codes {
		switch code {
		case "":
			in++
			again := dial(t, []*node{b, a}[i%2].addr, users[i]) // a second join takes no second seat
			again.join(room)
			clients[i].join(room)
		case "group_full":
		default:
			t.Errorf("%s was answered %q", users[i], code)
		}
	}
	var g group.Group
	a.must(t, "leader5", http.MethodGet, "/groups/"+room, nil, &g)
	if in != 4 || g.MemberCount != 5 {
		t.Errorf("%d came in and the room has %d members, want 4 and 5", in, g.MemberCount)
	}
}

// TestDefect07EndLeavesOtherRoomsAlone ends one of two rooms that have the same
// sockets.
func TestDefect07EndLeavesOtherRoomsAlone(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	ends, stays := a.room(t, "leader7", 0), a.room(t, "leader7", 0)
	clients := []*client{dial(t, a.addr, "seven-a"), dial(t, b.addr, "seven-b"), dial(t, b.addr, "seven-b")}
	for _, c := range clients {
		c.join(ends)
		c.join(stays)
	}
	a.endIn(t, "leader7", ends, soon)
	for _, c := range clients {
		c.needs("room:ended", ends)
		if got := c.needs("group:closed", ends).Reason; got != "ended" {
			t.Errorf("%s: closed for %q", c.user, got)
		}
	}
	a.must(t, "leader7", http.MethodPatch, "/groups/"+ends, fields{"endsAt": nil}, nil) // nobody is subscribed any more
	a.must(t, "leader7", http.MethodPost, "/groups/"+ends+"/messages", fields{"data": "is anybody here?"}, nil)
	for _, c := range clients {
		c.fence(a, "leader7", stays)
		events := c.told("group:event", ends)
		if last := events[len(events)-1].Type; last != string(group.GroupEnded) {
			t.Errorf("%s was told %s after the end", c.user, last)
		}
		if n := len(c.told("room:ended", stays)); n != 0 {
			t.Errorf("%s: the other room ended too", c.user)
		}
	}
	a.endIn(t, "leader7", stays, remind+soon)
	for _, c := range clients {
		c.needs("room:reminder", stays)
	}
}

// TestDefect08ChangesAreSmallAndKnowTheirOrder lets many users join and leave at
// once. Each change names one participant. Applying the changes gives the list,
// in any order, if the later of two changes wins.
func TestDefect08ChangesAreSmallAndKnowTheirOrder(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader8", 0)
	watcher := dial(t, a.addr, "watcher")
	began := watcher.join(room)
	var all sync.WaitGroup
	users := names("crowd", 30)
	for i, user := range users {
		c := dial(t, []*node{a, b}[i%2].addr, user)
		all.Go(func() {
			c.join(room)
			if i%3 == 0 {
				c.leave(room)
			}
			if i%6 == 0 {
				c.join(room)
			}
		})
	}
	all.Wait()

	// agrees reports whether the watcher and the list agree on the participants. It applies the
	// watcher's changes to its first list, in reverse order, as if they arrived late.
	lister := dial(t, b.addr, "watcher")
	var last string
	agrees := func() bool {
		in := lister.join(room)
		latest := make(map[string]pushData)
		for _, m := range began.Members {
			latest[m.UserID] = pushData{Status: m.Status}
		}
		changes := watcher.told("room:participantsChanged", room)
		slices.Reverse(changes)
		for _, c := range changes {
			if c.At.After(latest[c.UserID].At) {
				latest[c.UserID] = c
			}
		}
		for i, user := range append(users, "watcher") {
			there := i%3 != 0 || i%6 == 0
			if told := latest[user].Status; (told == group.StatusOnline) != there || in.count(user) == 1 != there {
				last = fmt.Sprintf("%s: the changes say %q, the list %d, want %t", user, told, in.count(user), there)
				return false
			}
		}
		return len(in.Members) == 26
	}
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	await(t, "changes and list agree", agrees)

	changes := watcher.pushes("room:participantsChanged", room)
	for _, p := range changes {
		if p.size > 300 {
			t.Errorf("one change takes %d bytes: %+v", p.size, p.data)
		}
	}
	if len(changes) > 3*len(users) {
		t.Errorf("%d changes of %d participants", len(changes), len(users))
	}
}

// TestDefect10OnlyItsOwnSiteMayConnect opens sockets from web pages.
func TestDefect10OnlyItsOwnSiteMayConnect(t *testing.T) {
	t.Parallel()
	a, _ := cluster(t)
	for site, welcome := range map[string]bool{
		"": true, origin: true,
		"https://evil.example": false, "https://study.example.evil.example": false, "http://study.example": false, "null": false,
	} {
		if _, err := open(t, a.addr, "ten", site); (err == nil) != welcome {
			t.Errorf("from %q: %v, want welcome %t", site, err, welcome)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.addr+"/v1/me/groups", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token(t, "ten"))
		req.Header.Set("Origin", site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if allowed := resp.Header.Get("Access-Control-Allow-Origin"); (allowed == site && site != "") != (welcome && site != "") || allowed == "*" {
			t.Errorf("a page of %q may read the answer to %q", site, allowed)
		}
	}
}

// TestDefect12RolesLoseNoUpdate transfers the room and changes it on two nodes at
// once.
func TestDefect12RolesLoseNoUpdate(t *testing.T) {
	t.Parallel()
	a, b := cluster(t)
	room := a.room(t, "leader12", 0)
	users := names("role", 6)
	clients := make([]*client, len(users))
	for i, user := range users {
		clients[i] = dial(t, []*node{a, b}[i%2].addr, user)
		clients[i].join(room)
	}
	const changes = 24
	keys := names("key", changes)
	var all sync.WaitGroup
	for i := range changes {
		n := []*node{a, b}[i%2]
		all.Go(func() {
			n.must(t, backend, http.MethodPatch, "/groups/"+room, fields{"attributes": fields{keys[i]: i}}, nil)
		})
		all.Go(func() {
			n.must(t, backend, http.MethodPut, "/groups/"+room+"/owner", fields{"userId": users[i%len(users)]}, nil)
		})
	}
	all.Wait()

	var g group.Group
	a.must(t, backend, http.MethodGet, "/groups/"+room, nil, &g)
	var kept map[string]int
	if err := json.Unmarshal(g.Attributes, &kept); err != nil || len(kept) != changes {
		t.Errorf("%d of %d changes are kept (%v)", len(kept), changes, err)
	}
	for _, c := range clients {
		c.fence(a, backend, room)
		leader, version := "leader12", int64(0)
		for _, change := range c.told("room:participantsChanged", room) {
			if change.To == "" { // a change of presence, not of the leader
				continue
			}
			if change.From != leader || change.Version <= version {
				t.Errorf("%s: version %d makes %s the leader after %s; before were %s and %d",
					c.user, change.Version, change.To, change.From, leader, version)
			}
			leader, version = change.To, change.Version
		}
		if leader != g.OwnerID {
			t.Errorf("%s has %s as the leader, but it is %s", c.user, leader, g.OwnerID)
		}
		if in := c.join(room); in.LeaderID != g.OwnerID {
			t.Errorf("the answer to %s has %s as the leader, but it is %s", c.user, in.LeaderID, g.OwnerID)
		}
	}
	if status := b.call(t, g.OwnerID, http.MethodPut, "/groups/"+room+"/owner", fields{"userId": "nobody"}, nil); status != http.StatusNotFound {
		t.Errorf("a room was transferred to a user who is not in it: %d", status)
	}
}

// TestDefect11EnvironmentsDoNotHearEachOther runs a staging environment on a copy of the
// production database, with the same Redis.
func TestDefect11EnvironmentsDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	pg, redis := servers(t)
	prefix := unique("production")
	production := startNode(t, pg.NewDatabase(t), redis.URL(), prefix)
	room := production.room(t, "leader11", 0)
	early := dial(t, production.addr, "eleven")
	early.join(room)
	early.drop()

	name := production.database[strings.LastIndexByte(production.database, '/')+1:]
	name, _, _ = strings.Cut(name, "?")
	production.kill() // PostgreSQL copies a database only while no connection uses it
	copied := "copy_of_" + name
	pg.Exec(t, "postgres", "CREATE DATABASE "+copied+" TEMPLATE "+name)
	production.run()
	production.awaitReady()
	staging := startNode(t, pg.URL(copied), redis.URL(), unique("staging"))

	live, test := dial(t, production.addr, "eleven"), dial(t, staging.addr, "eleven")
	live.join(room)
	if in := test.join(room); len(in.Members) != 1 {
		t.Errorf("in staging's room are %+v", in.Members)
	}
	staging.endIn(t, "leader11", room, soon)
	test.needs("room:ended", room)
	staging.must(t, backend, http.MethodPost, "/users/eleven/disconnect", fields{}, nil)
	await(t, "staging's socket is closed", func() bool {
		select {
		case <-test.over:
			return true
		default:
			return false
		}
	})
	live.fence(production, "leader11", room)
	if len(live.told("room:ended", room))+len(live.told("group:closed", room)) != 0 {
		t.Error("staging has ended production's session")
	}
	if in := live.join(room); len(in.Members) != 1 || time.Until(in.EndAt) < time.Minute {
		t.Errorf("production's room is %+v", in)
	}

	stranger := newNode(t, pg.NewDatabase(t), redis.URL(), prefix)
	stranger.run()
	await(t, "a node of another database under the same prefix refuses to start", func() bool {
		select {
		case <-stranger.exited:
			return true
		default:
			return false
		}
	})
	if told := stranger.log.String(); !strings.Contains(told, "redis.prefix") {
		t.Errorf("the node does not log the reason:\n%s", told)
	}
}
