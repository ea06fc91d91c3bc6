package group

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// TestFeedDeliversEveryEventOnceInOrder has writers on three nodes post to a
// few groups while the adapter between the nodes drops, doubles and delays
// envelopes, and subscribers come at any time, some of them from the past.
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
				node.feed.Announce([]Event{log.post(groupName(i%groups), MessagePosted, `{"n":1}`)})
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

// TestFeedFillsWhatNobodyTold loses every envelope: only silence tells.
func TestFeedFillsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, func(a adapter.Adapter) adapter.Adapter { return &flaky{Adapter: a, dropAll: true} })
	s := newRecorder(cluster[1].hub, "u")
	s.follow(t, cluster[1].feed, "g", nil)
	for range 5 {
		cluster[0].feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
	}
	s.await(t, func() bool { return s.last() == 6 })
	s.checkOrder(t)
}

// TestFeedRelaysWhatADeadNodeLeft commits without announcing.
func TestFeedRelaysWhatADeadNodeLeft(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, nil)
	s := newRecorder(cluster[1].hub, "u")
	s.follow(t, cluster[1].feed, "g", nil)
	log.post("g", MessagePosted, `{}`)
	s.await(t, func() bool { return s.last() == 2 })
	s.await(t, func() bool { return log.outboxed() == 0 })
}

func TestFeedEndsSubscriptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typ    EventType
		data   string
		reason string
		others bool // whether the others' subscriptions go on
	}{
		{MemberLeft, `{"userId":"u"}`, "left", true},
		{MemberRemoved, `{"userId":"u"}`, "removed", true},
		{MemberBanned, `{"userId":"u"}`, "banned", true},
		{GroupDeleted, `{}`, "deleted", false},
	} {
		t.Run(string(tc.typ), func(t *testing.T) {
			t.Parallel()
			log := newMemoryLog()
			log.create("g")
			cluster := newCluster(t, log, 2, nil)
			s, other := newRecorder(cluster[1].hub, "u"), newRecorder(cluster[1].hub, "other")
			s.follow(t, cluster[1].feed, "g", nil)
			other.follow(t, cluster[1].feed, "g", nil)
			cluster[0].feed.Announce([]Event{log.post("g", tc.typ, tc.data)})
			s.await(t, func() bool { return s.closedFor() == tc.reason })
			if s.last() != 2 {
				t.Errorf("last event before the end = %d, want 2", s.last())
			}
			if cluster[1].feed.IsSubscribed(s, "g") {
				t.Error("still subscribed")
			}
			cluster[0].feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
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
	log := newMemoryLog()
	log.create("g")
	for range 9 {
		log.post("g", MessagePosted, `{}`)
	}
	log.trim("g", 4) // 5 … 10 stay
	feed := newCluster(t, log, 1, nil)[0]
	for _, tc := range []struct {
		name     string
		since    *int64
		version  int64
		events   int
		snapshot bool
	}{
		{"no since", nil, 10, 0, false},
		{"at the head", new(int64(10)), 10, 0, false},
		{"behind", new(int64(7)), 10, 3, false},
		{"the oldest that is left", new(int64(4)), 10, 6, false},
		{"before the log", new(int64(3)), 10, 0, true},
		{"above the head", new(int64(11)), 10, 0, true},
		{"negative", new(int64(-1)), 10, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRecorder(feed.hub, "u")
			a := s.follow(t, feed.feed, "g", tc.since)
			if a.Version != tc.version || len(a.Events) != tc.events || a.Snapshot != tc.snapshot {
				t.Errorf("version %d, %d events, snapshot %v; want %d, %d, %v",
					a.Version, len(a.Events), a.Snapshot, tc.version, tc.events, tc.snapshot)
			}
		})
	}
}

// TestFeedPagesALongCatchUp follows from so far back that one answer does not
// hold it all.
func TestFeedPagesALongCatchUp(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	for range 2*catchUpLimit + 100 {
		log.post("g", MessagePosted, `{}`)
	}
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	a := s.follow(t, node.feed, "g", new(int64(1)))
	if len(a.Events) != catchUpLimit {
		t.Errorf("the answer holds %d events, want %d", len(a.Events), catchUpLimit)
	}
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

// TestFeedWaitsForABusySocket catches up as fast as the client takes it.
func TestFeedWaitsForABusySocket(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	for range 2*catchUpLimit + 100 {
		log.post("g", MessagePosted, `{}`)
	}
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.busy.Store(true)
	a := s.follow(t, node.feed, "g", new(int64(1)))
	node.feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
	if got := s.last(); got != a.Version {
		t.Errorf("a busy socket was sent up to %d after an answer up to %d", got, a.Version)
	}
	s.busy.Store(false)
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

// TestFeedGathersWhatFollowsAtOnce: an event that came while the one before it was
// being sent may wait for others, and no other.
func TestFeedGathersWhatFollowsAtOnce(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.follow(t, node.feed, "g", nil)
	for i, want := range []int64{0, 1, 1} {
		node.feed.topic("g").delivering.Store(i == 1)
		node.feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
		if got := s.queued.Load(); got != want {
			t.Errorf("after event %d %d could wait, want %d", i, got, want)
		}
	}
	s.await(t, func() bool { return s.last() == log.head("g") })
}

// TestFeedBoundsAnswers has events too large for one answer.
func TestFeedBoundsAnswers(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	large := `"` + strings.Repeat("x", answerBytes/2) + `"`
	for range 5 {
		log.post("g", MessagePosted, large)
	}
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	if a := s.follow(t, node.feed, "g", new(int64(1))); len(a.Events) != 1 {
		t.Errorf("%d large events in one answer", len(a.Events))
	}
	s.await(t, func() bool { return s.last() == log.head("g") })
	s.checkOrder(t)
}

func TestFeedSharesReads(t *testing.T) {
	t.Parallel()
	const subscribers = 1000
	log := newMemoryLog()
	log.create("g")
	log.slow = 200 * time.Millisecond // they come meanwhile
	node := newCluster(t, log, 1, nil)[0]
	var wg sync.WaitGroup
	for i := range subscribers {
		wg.Go(func() {
			newRecorder(node.hub, fmt.Sprintf("u%d", i)).follow(t, node.feed, "g", new(int64(1)))
		})
	}
	wg.Wait()
	if n := log.readings(); n > 10 {
		t.Errorf("%d subscribers cost %d reads of the log", subscribers, n)
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
		node.feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
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
	_, err := node.feed.Subscribe(t.Context(), s, SubscribeRequest{GroupID: "g", Admit: func(Group, *Member) error { return refuse }})
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

// TestFeedResyncsWhenTheLogWentBack restores an older log under a feed.
func TestFeedResyncsWhenTheLogWentBack(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	s := newRecorder(node.hub, "u")
	s.follow(t, node.feed, "g", nil)
	for range 3 {
		node.feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
	}
	s.await(t, func() bool { return s.last() == 4 })
	log.rewind("g", 2)
	s.await(t, func() bool { return s.closedFor() == "resync" })
}

func TestItemRoundTrip(t *testing.T) {
	t.Parallel()
	actor := "a <b>"
	it, err := newItem(Event{GroupID: "g", Version: 7, Type: MemberLeft, Actor: &actor, Data: json.RawMessage(`{"userId":"u <&>"}`)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseItem(it.envelope())
	if err != nil || got.version != 7 || got.typ != MemberLeft || got.groupID != "g" || got.subject() != "u <&>" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []adapter.Envelope{{}, {Room: "group:g"}, {Room: "group:g", Meta: "x y"}, {Room: "group:g", Meta: "0 y"}, {Room: "user:g", Meta: "1 y"}} {
		if _, err := parseItem(bad); err == nil {
			t.Errorf("%+v is taken for an event", bad)
		}
	}
}

func groupName(i int) string { return fmt.Sprintf("g%d", i) }

// node is one of a cluster's nodes, in this process.
type node struct {
	hub  *adapter.Hub
	feed *Feed
}

func newCluster(t *testing.T, log Log, n int, wrap func(adapter.Adapter) adapter.Adapter, prepare ...func(*Feed)) []node {
	t.Helper()
	mesh := adapter.NewMesh()
	nodes := make([]node, n)
	for i := range nodes {
		var a adapter.Adapter = mesh.Adapter()
		if wrap != nil {
			a = wrap(a)
		}
		hub := adapter.NewHub(a)
		feed := NewFeed(log, hub, nil, slog.New(slog.DiscardHandler))
		for _, fn := range prepare {
			fn(feed)
		}
		hub.Intercept(eventPushed, feed.Receive)
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

// flaky drops, doubles and delays what is published.
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

// recorder is a socket that writes down what it is sent.
type recorder struct {
	hub    *adapter.Hub
	user   string
	busy   atomic.Bool
	queued atomic.Int64 // frames that could wait

	mu       sync.Mutex
	versions []int64
	reason   string
	told     []string // every event, with its version or reason
	changed  chan struct{}
}

func newRecorder(hub *adapter.Hub, user string) *recorder {
	return &recorder{hub: hub, user: user, changed: make(chan struct{}, 1)}
}

// recorderCodec sends the event's name and data divided by a space.
type recorderCodec struct{}

func (recorderCodec) Event(event string, data []byte) *engine.Frame {
	return engine.Plain.Frame([]byte(event), []byte(" "), data)
}

func (r *recorder) ID() string           { return r.user }
func (r *recorder) UserID() string       { return r.user }
func (r *recorder) Codec() adapter.Codec { return recorderCodec{} }
func (r *recorder) Busy() bool           { return r.busy.Load() }
func (r *recorder) Join(room string)     { r.hub.Join(room, r) }
func (r *recorder) Leave(room string)    { r.hub.Leave(room, r) }
func (r *recorder) Queue(f *engine.Frame) {
	r.queued.Add(1)
	r.Send(f)
}

func (r *recorder) Send(f *engine.Frame) {
	event, data, _ := bytes.Cut(f.Payload(), []byte(" "))
	r.Emit(string(event), data)
}

func (r *recorder) Emit(event string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var d struct {
		Version int64
		Reason  string
	}
	if err := json.Unmarshal(data, &d); err != nil {
		panic(err)
	}
	r.told = append(r.told, fmt.Sprint(event, " ", d.Version, d.Reason))
	switch event {
	case eventPushed:
		r.versions = append(r.versions, d.Version)
	case eventClosed:
		r.reason = d.Reason
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) follow(t *testing.T, f *Feed, groupID string, since *int64) Subscription {
	t.Helper()
	a, err := f.Subscribe(t.Context(), r, SubscribeRequest{
		GroupID: groupID, Since: since, Admit: func(Group, *Member) error { return nil },
	})
	if err != nil {
		t.Errorf("subscribe: %v", err)
		return a
	}
	r.mu.Lock()
	if len(r.versions) == 0 {
		r.versions = append(r.versions, a.Version-int64(len(a.Events)))
	}
	for _, e := range a.Events {
		r.versions = append(r.versions, e.Version)
	}
	r.mu.Unlock()
	f.Release(r, groupID)
	return a
}

func (r *recorder) last() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.versions) == 0 {
		return 0
	}
	return r.versions[len(r.versions)-1]
}

func (r *recorder) closedFor() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

// checkOrder fails when the versions have a hole, a double or a step back.
func (r *recorder) checkOrder(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 1; i < len(r.versions); i++ {
		if r.versions[i] != r.versions[i-1]+1 {
			t.Fatalf("%s: version %d follows %d", r.user, r.versions[i], r.versions[i-1])
		}
	}
}

func (r *recorder) await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-r.changed:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: waited in vain; last version %d, closed for %q", r.user, r.last(), r.closedFor())
		}
	}
}

// memoryLog is a log in memory, so that the feed meets nothing but itself.
type memoryLog struct {
	slow time.Duration // a read takes that long

	mu     sync.Mutex
	events map[string][]Event
	heads  map[string]int64
	outbox map[Ref]time.Time
	reads  int
}

func newMemoryLog() *memoryLog {
	return &memoryLog{events: make(map[string][]Event), heads: make(map[string]int64), outbox: make(map[Ref]time.Time)}
}

func (l *memoryLog) create(groupID string) Event { return l.post(groupID, GroupCreated, `{}`) }

func (l *memoryLog) post(groupID string, typ EventType, data string) Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[groupID]++
	e := Event{GroupID: groupID, Version: l.heads[groupID], Type: typ, Data: json.RawMessage(data), At: time.Now()}
	l.events[groupID] = append(l.events[groupID], e)
	l.outbox[Ref{GroupID: groupID, Version: e.Version}] = e.At
	return e
}

func (l *memoryLog) head(groupID string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heads[groupID]
}

func (l *memoryLog) trim(groupID string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[groupID] = l.events[groupID][n:]
}

func (l *memoryLog) rewind(groupID string, head int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[groupID] = head
	l.events[groupID] = l.events[groupID][:head]
}

func (l *memoryLog) outboxed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.outbox)
}

func (l *memoryLog) readings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *memoryLog) Read(ctx context.Context, groupID string, since int64, limit int, _ []string) (LogPage, error) {
	if l.slow > 0 {
		select {
		case <-time.After(l.slow):
		case <-ctx.Done():
			return LogPage{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	events := l.events[groupID]
	if len(events) == 0 {
		return LogPage{}, fault.ErrNotFound
	}
	page := LogPage{Group: Group{ID: groupID, Version: l.heads[groupID]}, MovedAt: l.movedAt(groupID), First: events[0].Version}
	for _, e := range events {
		if e.Version > since && len(page.Events) < limit {
			page.Events = append(page.Events, e)
		}
	}
	return page, nil
}

func (l *memoryLog) movedAt(groupID string) time.Time {
	events := l.events[groupID]
	return events[len(events)-1].At
}

// Standings knows no members either.
func (l *memoryLog) Standings(_ context.Context, groupID string, _ []string) (Standings, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events[groupID]) == 0 {
		return Standings{}, fault.ErrNotFound
	}
	return Standings{Version: l.heads[groupID], MovedAt: l.movedAt(groupID)}, nil
}

func (l *memoryLog) Heads(context.Context, time.Duration) ([]Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heads := make([]Head, 0, len(l.heads))
	for id, v := range l.heads {
		heads = append(heads, Head{GroupID: id, Version: v})
	}
	return heads, nil
}

func (l *memoryLog) Relay(_ context.Context, age time.Duration, limit int, publish func(Event) error) (int, error) {
	l.mu.Lock()
	var due []Event
	for ref, at := range l.outbox {
		if time.Since(at) > age && len(due) < limit {
			for _, e := range l.events[ref.GroupID] {
				if e.Version == ref.Version {
					due = append(due, e)
				}
			}
		}
	}
	l.mu.Unlock()
	n := 0
	for _, e := range due {
		if publish(e) == nil {
			_ = l.Published(context.Background(), []Ref{{GroupID: e.GroupID, Version: e.Version}})
			n++
		}
	}
	return n, nil
}

func (l *memoryLog) Published(_ context.Context, refs []Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ref := range refs {
		delete(l.outbox, ref)
	}
	return nil
}
