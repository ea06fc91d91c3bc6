package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// These tests make the same kind of call on one group from many clients at once. The state
// machine of package group (TestInvariants, T59) makes random calls in any order.

// TestT60ReplayedKey requests one change many times with one idempotency key, on all nodes. The
// change must be made once, and every caller must get its answer. The tests of package group
// check that a key expires after 24 hours, because they control the clock.
func TestT60ReplayedKey(t *testing.T) {
	t.Parallel()
	const times = 30
	d := startOnOne(t, 3)
	groupID := newGroup(t, d)
	watching := d.ws(t, 1, "ana")
	before := watching.subscribe(groupID).Version
	path, body := "/groups/"+groupID+"/messages", object{"data": object{"text": "once"}}
	answers := make([]event, times)
	var work sync.WaitGroup
	for i := range times {
		work.Go(func() {
			status, err := d.api(i, "ana").under("k1").do(t.Context(), http.MethodPost, path, body, &answers[i])
			if err != nil || status != http.StatusCreated {
				t.Errorf("under the key: %d, %v", status, err)
			}
		})
	}
	work.Wait()
	for _, a := range answers[1:] {
		if diff := cmp.Diff(answers[0], a); diff != "" {
			t.Errorf("two answers under one key:\n%s", diff)
		}
	}
	for i := range d.nodes {
		d.api(i, "ana").under("k1").mustRefuse(t, http.StatusUnprocessableEntity, "idempotency_mismatch", http.MethodPost, path, object{"data": object{"text": "other"}})
	}
	watching.must("group:message", object{"groupId": groupID, "data": object{"text": "once"}, "key": "k1"}, &answers[1]) // over the other endpoint
	if answers[1].Version != answers[0].Version {
		t.Errorf("over the socket the key answered version %d, want %d", answers[1].Version, answers[0].Version)
	}
	var made [2]group
	for i := range made {
		d.api(i, "ana").under("k2").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Once"}, &made[i])
	}
	if made[0] != made[1] {
		t.Errorf("one key made two groups: %+v, %+v", made[0], made[1])
	}
	var e event
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, path, body, &e)
	watching.needVersion(groupID, e.Version, soon)
	if e.Version != before+2 {
		t.Errorf("after one message under a key and one without the version is %d, want %d", e.Version, before+2)
	}
	t.Logf("T60: a message posted %d times under one key on %d nodes: 1 event, 1 answer; another body: refused", times+1, len(d.nodes))
}

// TestT61NeverOwnerless makes all members offer and accept ownership, leave and join again at
// once on all nodes, while a back end changes the owner. The owner must not be able to leave, and
// every version must have exactly one owner.
func TestT61NeverOwnerless(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 3)
	var g group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Boat", "visibility": "public", "joinPolicy": "open"}, &g)
	path := "/groups/" + g.ID
	d.api(1, "ana").mustRefuse(t, http.StatusConflict, "owner_must_transfer", http.MethodPost, path+"/leave", nil)
	people := []string{"ana", "bo", "cy", "dee"}
	for _, user := range people[1:] {
		d.api(0, user).must(t, http.StatusOK, http.MethodPost, path+"/join", nil, nil)
	}
	boss := api{base: d.node(0).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	var calls, refused atomic.Int64
	var work sync.WaitGroup
	for i, user := range people {
		work.Go(func() {
			for n := range inSoak(40, 2000) {
				as := d.api(i+n, user)
				var err error
				switch rand.IntN(6) {
				case 0:
					_, err = as.do(t.Context(), http.MethodPost, path+"/leave", nil, nil)
				case 1:
					_, err = as.do(t.Context(), http.MethodPost, path+"/join", nil, nil)
				case 2, 3:
					_, err = as.do(t.Context(), http.MethodPost, path+"/owner/accept", nil, nil)
				case 4:
					_, err = boss.do(t.Context(), http.MethodPut, path+"/owner", object{"userId": user}, nil)
				default:
					_, err = as.do(t.Context(), http.MethodPut, path+"/owner", object{"userId": people[rand.IntN(len(people))]}, nil)
				}
				calls.Add(1)
				if err == nil {
					continue
				}
				refused.Add(1)
				refusal, ok := errors.AsType[*apiError](err)
				if !ok || !slices.Contains([]string{"owner_must_transfer", "forbidden", "not_member", "not_found"}, refusal.Code) {
					t.Errorf("%s: %v", user, err)
				}
			}
		})
	}
	work.Wait()
	owner, handed := "ana", 0
	in := map[string]bool{"ana": true}
	for _, e := range wholeLog(t, boss, g.ID) {
		var data struct{ UserID, From, To string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "member.joined":
			in[data.UserID] = true
		case "member.left":
			delete(in, data.UserID)
		case "owner.transferred":
			if data.From != owner {
				t.Errorf("version %d: %s transfers ownership, but %s is the owner", e.Version, data.From, owner)
			}
			owner = data.To
			handed++
		}
		if !in[owner] {
			t.Errorf("version %d: the owner %s is no member", e.Version, owner)
		}
	}
	var members page[member]
	boss.must(t, http.StatusOK, http.MethodGet, path+"/members", nil, &members)
	var owners []string
	for _, m := range members.Items {
		if m.Role == "owner" {
			owners = append(owners, m.UserID)
		}
	}
	if !slices.Equal(owners, []string{owner}) || len(members.Items) != len(in) {
		t.Errorf("owners %v and %d members; the log says %s and %d", owners, len(members.Items), owner, len(in))
	}
	t.Logf("T61: %d calls by %d people on %d nodes, %d refused: handed over %d times, one owner at each version", calls.Load(), len(people), len(d.nodes), refused.Load(), handed)
}

// wholeLog reads all events of a group.
func wholeLog(t *testing.T, a api, groupID string) (all []event) {
	t.Helper()
	for {
		var log page[event]
		a.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/groups/%s/events?since=%d&limit=200", groupID, len(all)), nil, &log)
		if all = append(all, log.Items...); len(log.Items) == 0 {
			return all
		}
	}
}

// TestT62LastUseOfAnInvite makes fifty users accept an invite with one use, at once on three
// nodes.
func TestT62LastUseOfAnInvite(t *testing.T) {
	t.Parallel()
	const wanting = 50
	d := startOnOne(t, 3)
	groupID := newGroup(t, d)
	var invite struct{ Code string }
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/invites", object{"maxUses": 1}, &invite)
	var in, out atomic.Int64
	var work sync.WaitGroup
	for i := range wanting {
		work.Go(func() {
			status, err := d.api(i, fmt.Sprintf("user-%d", i)).do(t.Context(), http.MethodPost, "/invites/"+invite.Code+"/accept", nil, nil)
			refusal, refused := errors.AsType[*apiError](err)
			switch {
			case err == nil && status == http.StatusOK:
				in.Add(1)
			case refused && refusal.Code == "invite_invalid":
				out.Add(1)
			default:
				t.Errorf("accept: %d, %v", status, err)
			}
		})
	}
	work.Wait()
	var g group
	d.api(1, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+groupID, nil, &g)
	if in.Load() != 1 || out.Load() != wanting-1 || g.MemberCount != 2 {
		t.Errorf("%d were let in and %d refused, memberCount %d; want 1, %d and 2", in.Load(), out.Load(), g.MemberCount, wanting-1)
	}
	t.Logf("T62: of %d who accepted an invite for one at once, %d came in", wanting, in.Load())
}

// TestT63DeleteInFlight deletes a group while users post to it, join it and subscribe to it on
// three nodes. Every subscription must end with the event of the deletion. Every later call must
// find nothing, and no node may keep the room.
func TestT63DeleteInFlight(t *testing.T) {
	t.Parallel()
	d, sockets := startOnTwo(t, 3)
	var rounds, ended, refusals int64
	for range inSoak(3, 100) {
		var g group
		d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Short", "visibility": "public", "joinPolicy": "open"}, &g)
		path := "/groups/" + g.ID
		steady := []*client{d.ws(t, 0, "ana"), d.ws(t, 1, "ana"), d.ws(t, 2, "ana")}
		for _, c := range steady {
			c.subscribe(g.ID)
		}
		var guests []*client
		var refused, subscribed atomic.Int64
		goes := make(chan struct{})
		var work sync.WaitGroup
		for w := range 9 {
			user := fmt.Sprintf("guest-%d", w)
			c := d.ws(t, w, user)
			guests = append(guests, c)
			work.Go(func() {
				for n := range 30 {
					if n == 2 && w == 0 {
						close(goes)
					}
					var err error
					switch n % 4 {
					case 0:
						_, err = d.api(w+n, user).do(t.Context(), http.MethodPost, path+"/join", nil, nil)
					case 1:
						var answered subscription
						if c.stream(g.ID).head() > 0 {
							continue // one subscription per client
						}
						if err = c.request("group:subscribe", object{"groupId": g.ID}, &answered); err == nil {
							c.stream(g.ID).begin(answered)
							subscribed.Add(1)
						}
					default:
						_, err = d.api(w+n, user).do(t.Context(), http.MethodPost, path+"/messages", object{"data": n}, nil)
					}
					if err == nil {
						continue
					}
					refused.Add(1)
					if refusal, ok := errors.AsType[*apiError](err); !ok || refusal.Code != "not_found" {
						t.Errorf("%s, call %d: %v", user, n, err)
					}
				}
			})
		}
		<-goes
		d.api(1, "ana").must(t, http.StatusNoContent, http.MethodDelete, path, nil, nil)
		work.Wait()
		for _, c := range guests {
			if c.stream(g.ID).head() > 0 { // the client was subscribed
				c.needClosed(g.ID, "deleted", catchUp)
			}
		}
		for _, c := range steady {
			c.needClosed(g.ID, "deleted", soon)
			if events := c.stream(g.ID).received(); len(events) == 0 || events[len(events)-1].Type != "group.deleted" {
				t.Errorf("%s: the last event is not group.deleted", c.name)
			}
		}
		for i := range d.nodes {
			for _, of := range []string{"", "/members", "/presence", "/events"} {
				d.api(i, "ana").mustRefuse(t, http.StatusNotFound, "not_found", http.MethodGet, path+of, nil)
			}
		}
		need(t, soon, "no node is interested in the room any more", func() bool {
			return !slices.ContainsFunc(roomChannels(sockets), func(channel string) bool { return strings.Contains(channel, g.ID) })
		})
		rounds++
		ended += subscribed.Load() + int64(len(steady))
		refusals += refused.Load()
	}
	t.Logf("T63: %d groups deleted under 9 busy guests: %d subscriptions ended with group.deleted, %d later calls found nothing", rounds, ended, refusals)
}

// TestT65EventOrder posts from eight writers on three nodes. All clients must see the same order.
func TestT65EventOrder(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 3)
	f := newFleet(t, d, 1, 15)
	l := startLoad(t, d, f.groups, 8, 400)
	began := time.Now()
	need(t, patience, "messages flow", func() bool { return l.acked.Load() > inSoak[int64](800, 100000) })
	l.stop()
	took := time.Since(began)
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	first := f.sessions[0].events().received()
	same := func(a, b event) bool {
		return a.Version == b.Version && bytes.Equal(a.Data, b.Data) && a.At.Equal(b.At)
	}
	for _, s := range f.sessions[1:] {
		if !slices.EqualFunc(first, s.events().received(), same) {
			t.Errorf("%s and %s saw different events", s.name, f.sessions[0].name)
		}
	}
	t.Logf("T65: %d messages by 8 writers on 3 nodes in %s: %d sessions saw the same sequence, %d lost, %d doubled; worst lateness %s",
		l.acked.Load(), took.Round(time.Millisecond), len(f.sessions), lost, doubled, latest(f.sessions))
}

// TestT66SubscribeDuringChanges subscribes sockets while three nodes change a group as fast as
// they can. For each socket, the answer with the later events applied must equal the final state
// of the group.
func TestT66SubscribeDuringChanges(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 3, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	var g group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "0", "visibility": "public", "joinPolicy": "open"}, &g)
	path := "/groups/" + g.ID
	var changes atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	for w := range 9 {
		user := fmt.Sprintf("user-%d", w)
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch n % 3 {
				case 0:
					_, err = d.api(w+n, user).do(t.Context(), http.MethodPost, path+"/join", nil, nil)
				case 1:
					_, err = d.api(w+n, "ana").do(t.Context(), http.MethodPatch, path, object{"name": fmt.Sprintf("%d-%d", w, n)}, nil)
				case 2:
					_, err = d.api(w+n, user).do(t.Context(), http.MethodPost, path+"/leave", nil, nil)
				}
				if err != nil {
					t.Errorf("%s: change %d: %v", user, n, err)
					return
				}
				changes.Add(1)
			}
		})
	}
	began := time.Now()
	type joined struct {
		*client
		at subscription
	}
	var all []joined
	for i := range inSoak(40, 1000) {
		need(t, patience, "the group changes", func() bool { return changes.Load() >= int64(10*i) })
		c := d.ws(t, i, "ana")
		all = append(all, joined{c, c.subscribe(g.ID)})
	}
	took := time.Since(began)
	close(stop)
	work.Wait()
	var now group
	d.api(0, "ana").must(t, http.StatusOK, http.MethodGet, path, nil, &now)
	for _, c := range all {
		c.needVersion(g.ID, now.Version, catchUp)
		got := c.at.Group
		if got.Version != c.at.Version {
			t.Errorf("%s: the answer covers version %d with the group as of %d", c.name, c.at.Version, got.Version)
		}
		for _, e := range c.stream(g.ID).received() {
			got.Version = e.Version
			switch e.Type {
			case "member.joined":
				got.MemberCount++
			case "member.left":
				got.MemberCount--
			case "group.updated":
				got.Revision = e.Version
				if err := json.Unmarshal(e.Data, &got); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(now, got); diff != "" {
			t.Errorf("%s, subscribed at version %d (-now +folded):\n%s", c.name, c.at.Version, diff)
		}
	}
	t.Logf("T66: %d sockets subscribed during %d changes in %s; each folds to the group at version %d",
		len(all), changes.Load(), took.Round(time.Millisecond), now.Version)
}
