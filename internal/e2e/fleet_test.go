package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fleet is many sessions, each with its own user, spread over groups and nodes. A session that
// loses its connection connects to the next node and asks for what it missed. It checks that each
// event arrives once, in order and without a gap.
//
// The sessions are plain WebSockets. If the deployment has a driver, every tenth is the real
// socket.io-client, which waits for the answer to its subscription.
type fleet struct {
	t        *testing.T
	d        *deployment
	groups   []string
	sessions []*session
	running  sync.WaitGroup
}

// session is one session of a fleet.
type session struct {
	*inbox
	user     string
	groupID  string
	endpoint endpoint
	home     int             // the node that it connects to first
	ctx      context.Context // lives exactly as long as the session
	leave    context.CancelFunc

	follows atomic.Int64 // how often it was subscribed
	at      atomic.Int64 // the node on which it is subscribed; -1: none
}

// events returns what the session received of its group.
func (s *session) events() *stream { return s.stream(s.groupID) }

// over reports whether the session has ended.
func (s *session) over() bool { return s.ctx.Err() != nil }

// maxIO is the largest number of sessions that use the real socket.io-client. All of them share
// one Node.js process.
const maxIO = 40

// endpoint returns the endpoint of the n-th session.
func (f *fleet) endpoint(n int) endpoint {
	if f.d.driver != nil && n%10 == 5 && n/10 < maxIO {
		return f.d.driver.endpoint(false)
	}
	return plain
}

// newFleet creates groups of ana's with this many members each, and a session for each member. It
// waits until all are subscribed.
func newFleet(t *testing.T, d *deployment, groups, members int) *fleet {
	t.Helper()
	f := &fleet{t: t, d: d}
	for g := range groups {
		var users []string
		for m := range members {
			users = append(users, fmt.Sprintf("user-%d-%d", g, m))
		}
		f.groups = append(f.groups, newGroup(t, d, users...))
		for m, user := range users {
			way := f.endpoint(len(f.sessions))
			f.sessions = append(f.sessions, &session{inbox: newInbox(user + way.name), user: user, groupID: f.groups[g], endpoint: way, home: m})
		}
	}
	f.start()
	return f
}

// startAtOnce is how many sessions connect at the same time. With many more, a node does not
// answer some of them in time, and they connect to another node.
const startAtOnce = 1000

// start runs the sessions and waits until all are subscribed.
func (f *fleet) start() {
	f.t.Helper()
	f.t.Cleanup(f.stop)
	for wave := range slices.Chunk(f.sessions, startAtOnce) {
		for _, s := range wave {
			s.ctx, s.leave = context.WithCancel(context.Background())
			s.at.Store(-1)
			f.running.Go(func() { f.live(s.ctx, s) })
		}
		need(f.t, answerWithin+soon, "these sessions are subscribed", func() bool {
			return !slices.ContainsFunc(wave, func(s *session) bool { return s.at.Load() < 0 })
		})
	}
}

// stop ends all sessions and reports the violations that they found.
func (f *fleet) stop() {
	for _, s := range f.sessions {
		if s.leave != nil { // it was started
			s.leave()
		}
	}
	f.running.Wait()
	for _, s := range f.sessions {
		for _, fault := range s.faults() {
			f.t.Errorf("%s: %s", s.name, fault)
		}
	}
}

// live keeps a session subscribed until ctx ends.
func (f *fleet) live(ctx context.Context, s *session) {
	for node := s.home; ctx.Err() == nil; node++ {
		c, err := f.open(ctx, s, node)
		if err != nil {
			select {
			case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
			case <-ctx.Done():
			}
			continue
		}
		s.at.Store(int64(node % len(f.d.nodes)))
		s.follows.Add(1)
		select {
		case <-c.gone():
		case <-ctx.Done():
		}
		s.at.Store(-1)
		c.close()
	}
}

// open connects a session to a node and subscribes it after the last version it has.
func (f *fleet) open(ctx context.Context, s *session, node int) (conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c, err := s.endpoint.open(ctx, f.d.node(node).URL(), f.d.token(s.user), s.inbox)
	if err != nil {
		return nil, err
	}
	events, req := s.events(), object{"groupId": s.groupID}
	since, again := events.head(), s.follows.Load() > 0
	if again {
		req["since"] = since
		events.resume(since)
	}
	var answered subscription
	raw, err := c.request(ctx, "group:subscribe", req)
	if err == nil {
		err = json.Unmarshal(raw, &answered)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	if again {
		events.resumed(since, answered)
	} else {
		events.begin(answered)
	}
	return c, nil
}

// on returns the sessions that are subscribed on a node.
func (f *fleet) on(node int) []*session {
	var there []*session
	for _, s := range f.sessions {
		if s.at.Load() == int64(node) {
			there = append(there, s)
		}
	}
	return there
}

// needAll waits until cond holds for every session.
func (f *fleet) needAll(within time.Duration, what string, cond func(*session) bool) {
	f.t.Helper()
	need(f.t, within, what, func() bool {
		for _, s := range f.sessions {
			if !cond(s) {
				return false
			}
		}
		return true
	})
}

// needEveryEventOnce waits until every session has all events of its group. It reports sessions
// that got an event twice, out of order or not at all. It returns the number of events in all
// groups together.
func (f *fleet) needEveryEventOnce(survivor int) (total int64) {
	f.t.Helper()
	heads := make(map[string]int64)
	for _, groupID := range f.groups {
		var g group
		f.d.api(survivor, "ana").must(f.t, http.StatusOK, http.MethodGet, "/groups/"+groupID, nil, &g)
		heads[groupID] = g.Version
		total += g.Version
	}
	within := time.Now().Add(3 * catchUp)
	for _, s := range f.sessions {
		if s.over() {
			continue
		}
		if !wait(time.Until(within), func() bool { return s.events().head() >= heads[s.groupID] }) {
			f.t.Fatalf("%s, on node %d, has version %d of %d", s.name, s.at.Load(), s.events().head(), heads[s.groupID])
		}
		for _, fault := range s.faults() {
			f.t.Errorf("%s: %s", s.name, fault)
		}
	}
	return total
}

// needOnline waits until a node lists each session of a group as online, once, and no other user.
func (f *fleet) needOnline(within time.Duration, groupID string, a api) {
	f.t.Helper()
	var got string
	if !wait(max(within, soon), func() bool {
		var answered page[whoIsThere]
		if _, err := a.do(f.t.Context(), http.MethodGet, "/groups/"+groupID+"/presence?limit=200", nil, &answered); err != nil {
			got = err.Error()
			return false
		}
		online := make(map[string]int)
		for _, p := range answered.Items {
			if p.Status == "online" && p.UserID != "ana" {
				online[p.UserID]++
			}
		}
		got = fmt.Sprint("online: ", online)
		for _, s := range f.sessions {
			if s.groupID == groupID && !s.over() {
				if online[s.user] != 1 {
					return false
				}
				delete(online, s.user)
			}
		}
		return len(online) == 0
	}) {
		f.t.Errorf("the online members are not exactly the sessions of the group: %s", got)
	}
}

// watchPresence follows a group and its presence from the current version on.
func watchPresence(t *testing.T, c *client, groupID string) *client {
	t.Helper()
	var answered subscription
	c.must("group:subscribe", object{"groupId": groupID, "presence": true}, &answered)
	c.stream(groupID).begin(answered)
	return c
}

// wasOffline reports whether a client was ever told that a member is offline.
func wasOffline(c *client, groupID, user string) bool {
	return slices.ContainsFunc(pushedPresence(c, groupID, user), func(told string) bool { return strings.HasPrefix(told, "offline") })
}

// streams returns the stream of one session of each group.
func (f *fleet) streams() []*stream {
	per := len(f.sessions) / len(f.groups)
	var one []*stream
	for g := range f.groups {
		one = append(one, f.sessions[g*per].events())
	}
	return one
}

// latest returns the largest delay of any event that these sessions received.
func latest(sessions []*session) (worst time.Duration) {
	for _, s := range sessions {
		worst = max(worst, s.events().latest())
	}
	return worst.Round(time.Millisecond)
}
