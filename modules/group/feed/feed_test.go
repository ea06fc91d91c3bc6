package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestFeedDeliversEveryEventOnceInOrder posts to a few groups on three nodes. The adapter
// between the nodes drops, duplicates and delays envelopes. Subscribers join at any time,
// and some of them start from an old version.
func TestFeedDeliversEveryEventOnceInOrder(t *testing.T) {
	t.Parallel()
	const nodes, groups, writers, posts, subscribers = 3, 3, 8, 60, 30
	log := newMemoryLog()
	for g := range groups {
		log.create(groupName(g))
	}
	cluster := newCluster(t, log, nodes, func(a adapter.Adapter) adapter.Adapter { return &flaky{Adapter: a} })

	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range posts {
				node := cluster[(w+i)%nodes]
				node.feed.Announce(context.Background(), []group.Event{log.post(groupName(i%groups), group.MessagePosted, `{"n":1}`)})
			}
		})
	}
	subs := make([]*recorder, subscribers)
	for i := range subscribers {
		wg.Go(func() {
			subs[i] = newRecorder(cluster[i%nodes].hub, fmt.Sprintf("u%d", i))
			var since *int64
			if i%2 == 0 {
				since = new(rand.Int64N(40))
			}
			subs[i].follow(t, cluster[i%nodes].feed, groupName(i%groups), since)
		})
	}
	wg.Wait()

	for i, s := range subs {
		head := log.head(groupName(i % groups))
		s.await(t, func() bool { return s.last() == head })
		s.checkOrder(t)
	}
}

// TestFeedFillsWhatNobodyTold drops every envelope. The feed must find the events by its
// periodic check.
func TestFeedFillsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, func(a adapter.Adapter) adapter.Adapter { return &flaky{Adapter: a, dropAll: true} })
	s := newRecorder(cluster[1].hub, "u")
	s.follow(t, cluster[1].feed, "g", nil)
	for range 5 {
		cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	}
	s.await(t, func() bool { return s.last() == 6 })
	s.checkOrder(t)
}

// TestFeedRelaysWhatADeadNodeLeft commits an event without announcing it, like a node that
// dies. Another node must relay it.
func TestFeedRelaysWhatADeadNodeLeft(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, nil)
	s := newRecorder(cluster[1].hub, "u")
	s.follow(t, cluster[1].feed, "g", nil)
	log.post("g", group.MessagePosted, `{}`)
	s.await(t, func() bool { return s.last() == 2 })
	s.await(t, func() bool { return log.outboxed() == 0 })
}

func TestFeedEndsSubscriptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typ    group.EventType
		data   string
		reason string
		others bool // whether other subscriptions continue
	}{
		{group.MemberLeft, `{"userId":"u"}`, "left", true},
		{group.MemberRemoved, `{"userId":"u"}`, "removed", true},
		{group.MemberBanned, `{"userId":"u"}`, "banned", true},
		{group.GroupDeleted, `{}`, "deleted", false},
	} {
		t.Run(string(tc.typ), func(t *testing.T) {
			t.Parallel()
			log := newMemoryLog()
			log.create("g")
			cluster := newCluster(t, log, 2, nil)
			s, other := newRecorder(cluster[1].hub, "u"), newRecorder(cluster[1].hub, "other")
			s.follow(t, cluster[1].feed, "g", nil)
			other.follow(t, cluster[1].feed, "g", nil)
			cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", tc.typ, tc.data)})
			s.await(t, func() bool { return s.closedFor() == tc.reason })
			if s.last() != 2 {
				t.Errorf("last event before the end = %d, want 2", s.last())
			}
			if cluster[1].feed.IsSubscribed(s, "g") {
				t.Error("still subscribed")
			}
			cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
			if tc.others {
				other.await(t, func() bool { return other.last() == 3 })
			} else {
				other.await(t, func() bool { return other.closedFor() == tc.reason })
			}
			if s.last() != 2 {
				t.Errorf("got event %d after the end", s.last())
			}
		})
	}
}

func TestFeedSubscribeAnswers(t *testing.T) {
	t.Parallel()
	log := logOf(9)
	log.trim("g", 4) // events 5 to 10 remain
	feed := newCluster(t, log, 1, nil)[0]
	for _, tc := range []struct {
		name     string
		since    *int64
		version  int64
		snapshot bool
	}{
		{"no since", nil, 10, false},
		{"at the head", new(int64(10)), 10, false},
		{"behind", new(int64(7)), 7, false},
		{"the oldest that is left", new(int64(4)), 4, false},
		{"before the log", new(int64(3)), 10, true},
		{"above the head", new(int64(11)), 10, true},
		{"negative", new(int64(-1)), 10, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRecorder(feed.hub, "u")
			a := s.follow(t, feed.feed, "g", tc.since)
			if a.Version != tc.version || a.Group.Version != 10 || a.Snapshot != tc.snapshot {
				t.Errorf("answer version %d, group version %d, snapshot %v; want %d, 10, %v",
					a.Version, a.Group.Version, a.Snapshot, tc.version, tc.snapshot)
			}
			s.await(t, func() bool { return s.last() == 10 })
			s.checkOrder(t)
		})
	}
}

// TestFeedPagesALongCatchUp starts so far back that the missed events need several reads of
// the log.
func TestFeedPagesALongCatchUp(t *testing.T) {
	t.Parallel()
	log := logOf(2*catchUpLimit + 100)
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.follow(t, node.feed, "g", new(int64(1)))
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

// TestFeedWaitsForABusySocket checks that catching up waits while the client's socket is
// busy.
func TestFeedWaitsForABusySocket(t *testing.T) {
	t.Parallel()
	log := logOf(2*catchUpLimit + 100)
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.busy.Store(true)
	a := s.follow(t, node.feed, "g", new(int64(1)))
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	if got := s.last(); got != a.Version {
		t.Errorf("a busy socket was sent up to %d after an answer up to %d", got, a.Version)
	}
	s.busy.Store(false)
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

// TestFeedReadsLargeEventsInParts checks a subscriber that has missed more bytes than the
// feed keeps for one subscriber.
func TestFeedReadsLargeEventsInParts(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	large := `"` + strings.Repeat("x", missedBytes/2) + `"`
	for range 5 {
		log.post("g", group.MessagePosted, large)
	}
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.follow(t, node.feed, "g", new(int64(1)))
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

func TestFeedSharesReads(t *testing.T) {
	t.Parallel()
	const subscribers = 1000
	log := newMemoryLog()
	log.create("g")
	log.slow = time.Second // the other subscribers come during the first read
	node := newCluster(t, log, 1, nil)[0]
	var wg sync.WaitGroup
	for i := range subscribers {
		wg.Go(func() {
			newRecorder(node.hub, fmt.Sprintf("u%d", i)).follow(t, node.feed, "g", new(int64(1)))
		})
	}
	wg.Wait()
	if n := log.readings(); n > 10 {
		t.Errorf("%d subscribers took %d reads of the log", subscribers, n)
	}
}

func TestFeedSubscribeAgainDoublesNothing(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	for range 3 {
		s.follow(t, node.feed, "g", nil)
		node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	}
	s.await(t, func() bool { return s.last() == 4 })
	s.checkOrder(t)
}

func TestFeedRefusesAndForgets(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	refuse := errors.New("no")
	_, err := node.feed.Subscribe(t.Context(), s, SubscribeRequest{GroupID: "g", Admit: func(group.Group, *group.Member) error { return refuse }})
	if !errors.Is(err, refuse) {
		t.Errorf("err = %v, want Admit's", err)
	}
	if _, err = node.feed.Subscribe(t.Context(), s, SubscribeRequest{GroupID: "none"}); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("err = %v, want not found", err)
	}
	if n := len(node.feed.topics) + len(node.feed.sockets); n != 0 {
		t.Errorf("%d topics and sockets are kept", n)
	}
}

// TestFeedResyncsWhenTheLogWentBack sets the log back to an older version while a subscriber
// follows it.
func TestFeedResyncsWhenTheLogWentBack(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.follow(t, node.feed, "g", nil)
	for range 3 {
		node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	}
	s.await(t, func() bool { return s.last() == 4 })
	log.rewind("g", 2)
	s.await(t, func() bool { return s.closedFor() == "resync" })
}

func TestItemRoundTrip(t *testing.T) {
	t.Parallel()
	actor := "a <b>"
	it, err := newItem(group.Event{GroupID: "g", Version: 7, Type: group.MemberLeft, Actor: &actor, Data: json.RawMessage(`{"userId":"u <&>"}`)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseItem(it.envelope())
	if err != nil || got.version != 7 || got.typ != group.MemberLeft || got.groupID != "g" || got.subject() != "u <&>" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []adapter.Envelope{{}, {Room: "group:g"}, {Room: "group:g", Meta: "x y"}, {Room: "group:g", Meta: "0 y"}, {Room: "user:g", Meta: "1 y"}} {
		if _, err := parseItem(bad); err == nil {
			t.Errorf("%+v is accepted as an event", bad)
		}
	}
}

func groupName(i int) string { return fmt.Sprintf("g%d", i) }

// node is a node of a cluster in this process.
type node struct {
	hub  *adapter.Hub
	feed *Feed
}

func newCluster(t *testing.T, log group.Log, n int, wrap func(adapter.Adapter) adapter.Adapter, prepare ...func(*Feed)) []node {
	t.Helper()
	mesh := adapter.NewMesh()
	nodes := make([]node, n)
	for i := range nodes {
		var a adapter.Adapter = mesh.Adapter()
		if wrap != nil {
			a = wrap(a)
		}
		hub := adapter.NewHub(a)
		feed := New(log, hub, nil, slog.New(slog.DiscardHandler))
		for _, fn := range prepare {
			fn(feed)
		}
		hub.Intercept(group.EventPushed, feed.Receive)
		hub.OnLost(feed.Lost)
		if err := errors.Join(hub.Start(t.Context()), feed.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(feed.Stop(context.Background()), hub.Stop(context.Background())); err != nil {
				t.Error(err)
			}
		})
		nodes[i] = node{hub: hub, feed: feed}
	}
	return nodes
}

// flaky drops, duplicates and delays envelopes.
type flaky struct {
	adapter.Adapter
	dropAll bool
}

func (f *flaky) Publish(ctx context.Context, env adapter.Envelope) error {
	switch n := rand.IntN(20); {
	case f.dropAll, n == 0:
		return nil
	case n == 1:
		_ = f.Adapter.Publish(ctx, env)
	case n == 2:
		time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, func() {
			_ = f.Adapter.Publish(context.Background(), env)
		})
		return nil
	}
	return f.Adapter.Publish(ctx, env)
}
