package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
)

// startOnTwo runs nodes with two Redis servers. One is only for the socket role. socketConfig
// holds more lines of configuration.
func startOnTwo(t *testing.T, nodes int, socketConfig ...string) (*deployment, *redistest.Server) {
	t.Helper()
	var opts []redistest.Option
	for _, line := range socketConfig {
		opts = append(opts, redistest.WithConfig(line))
	}
	sockets := redistest.Start(t, opts...)
	return startOnOne(t, nodes, "MOIM_REDIS_SOCKET_URL="+sockets.URL()), sockets
}

// roomChannels returns the channels of rooms that have a subscriber.
func roomChannels(sockets *redistest.Server) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	channels, _ := sockets.Client().PubSubChannels(ctx, "moim:room:*").Result() // none while the server is down
	return channels
}

// TestT12EmptySocketRedis restarts the server of the socket role without its subscriptions. The
// nodes must subscribe to everything again by themselves, and no session may notice.
func TestT12EmptySocketRedis(t *testing.T) {
	t.Parallel()
	d, sockets := startOnTwo(t, 2)
	f := newFleet(t, d, 60, 2)
	before := len(roomChannels(sockets))
	if before < len(f.groups) {
		t.Fatalf("%d channels for %d groups", before, len(f.groups))
	}
	l := startLoad(t, d, f.groups, 4, 100)
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > 50 })
	sockets.Restart()
	began := time.Now()
	need(t, time.Minute, "all rooms are subscribed to again", func() bool { return len(roomChannels(sockets)) >= before })
	back := time.Since(began)
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+50 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	for _, s := range f.sessions {
		if s.follows.Load() != 1 {
			t.Errorf("%s was disconnected", s.name)
		}
	}
	t.Logf("T12: %d channels subscribed to again after %s; %d messages, %d lost, %d doubled; worst lateness %s",
		before, back.Round(time.Millisecond), l.acked.Load(), lost, doubled, latest(f.sessions))
	if worst := latest(f.sessions); worst > catchUp {
		t.Errorf("an event was %s late", worst)
	}
}

// TestT14Resets resets every connection to the server of the socket role every two seconds. Every
// event must arrive once, and the node's goroutines and open files must not grow.
func TestT14Resets(t *testing.T) {
	t.Parallel()
	redis, postgres, sockets := redistest.Start(t), pgtest.Start(t), redistest.Start(t)
	link := proxytest.Start(t, sockets.Addr())
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t),
		"MOIM_REDIS_SOCKET_URL="+sockets.URLVia(link.Addr()))
	f := newFleet(t, d, 5, 10)
	l := startLoad(t, d, f.groups, 4, 80)
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > 100 })
	var settled []func()
	for _, n := range d.nodes {
		settled = append(settled, n.baseline(t))
	}

	resets := 0
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for resets < inSoak(7, 300) {
		<-tick.C
		link.Drop()
		resets++
	}
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	worst, reconnects := latest(f.sessions), 0.0
	for i, n := range d.nodes {
		settled[i]()
		reconnects += n.Metric("moim_adapter_reconnects_total")
	}
	if worst > catchUp {
		t.Errorf("an event was %s late", worst)
	}
	if reconnects == 0 {
		t.Error("no node reconnected, so nothing was tested")
	}
	t.Logf("T14: %d resets, %v reconnections; %d messages, %d lost, %d doubled; worst lateness %s", resets, reconnects, l.acked.Load(), lost, doubled, worst)
}

// TestT17BufferOverflow makes Redis disconnect a subscriber whose output buffer overflows. The
// node must subscribe again and count it, and no session may miss an event.
func TestT17BufferOverflow(t *testing.T) {
	t.Parallel()
	d, sockets := startOnTwo(t, 2, "client-output-buffer-limit pubsub 64kb 0 0")
	f := newFleet(t, d, 3, 6)
	l := startLoad(t, d, f.groups, 4, 100)
	flood := strings.Repeat("x", 1<<20) // larger than the limit by itself
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	floods := inSoak(5, 100)
	for i := range floods {
		<-tick.C
		if err := sockets.Client().Publish(t.Context(), "moim:room:group:"+f.groups[i%len(f.groups)], flood).Err(); err != nil {
			t.Fatal(err)
		}
	}
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+50 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	var reconnects float64
	for _, n := range d.nodes {
		need(t, time.Minute, "the node is connected again, and has counted it", func() bool { return n.Metric("moim_adapter_reconnects_total") >= 1 })
		reconnects += n.Metric("moim_adapter_reconnects_total")
	}
	worst := latest(f.sessions)
	if worst > catchUp {
		t.Errorf("an event was %s late", worst)
	}
	t.Logf("T17: %d floods, %v reconnections; %d messages, %d lost, %d doubled; worst lateness %s", floods, reconnects, l.acked.Load(), lost, doubled, worst)
}

// TestT18DoubleDelivery sends every message between the nodes again: once unchanged, and once as
// if another node had sent it. No session may see an event twice.
func TestT18DoubleDelivery(t *testing.T) {
	t.Parallel()
	d, sockets := startOnTwo(t, 3)
	f := newFleet(t, d, 3, 9)
	repeated := repeatAll(t, sockets)
	l := startLoad(t, d, f.groups, 6, 100)
	need(t, time.Minute, "messages flow", func() bool { return l.acked.Load() > inSoak[int64](300, 30000) && repeated.Load() > 300 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	var dropped float64
	for _, n := range d.nodes {
		dropped += n.Metric("moim_adapter_dropped_total")
	}
	if dropped == 0 {
		t.Error("no node dropped a duplicate, so nothing was tested")
	}
	t.Logf("T18: %d envelopes published again twice, %v dropped by the adapter; %d messages, %d lost, %d doubled", repeated.Load(), dropped, l.acked.Load(), lost, doubled)
}

// repeatAll publishes every message on the channels of rooms twice more until the test ends: once
// unchanged, and once with another sender and number.
func repeatAll(t *testing.T, sockets *redistest.Server) *atomic.Int64 {
	t.Helper()
	const senderAt, senderEnd = 1, 9 // see redisadapter's wire.go
	ctx, cancel := context.WithCancel(context.Background())
	sub := sockets.Client().PSubscribe(ctx, "moim:room:*")
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	var repeated atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		again := make(map[string]bool) // the messages that this function published
		for msg := range sub.Channel() {
			if again[msg.Payload] {
				continue
			}
			forged := []byte(msg.Payload)
			binary.BigEndian.PutUint64(forged[senderAt:senderEnd], 0xfeed)
			again[msg.Payload], again[string(forged)] = true, true
			for _, copied := range []string{msg.Payload, string(forged)} {
				if err := sockets.Client().Publish(ctx, msg.Channel, copied).Err(); err == nil && copied == msg.Payload {
					repeated.Add(1)
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = sub.Close()
		<-done
	})
	return &repeated
}

// TestT20Garbage publishes garbage on the channels of rooms. It must be counted and go no
// further. The nodes do not sign their messages here. Otherwise they would reject the garbage
// before they decode it.
func TestT20Garbage(t *testing.T) {
	t.Parallel()
	sockets := redistest.Start(t)
	d := startOnOne(t, 2, "MOIM_REDIS_SOCKET_URL="+sockets.URL(), "MOIM_REDIS_SOCKET_HMAC=off")
	f := newFleet(t, d, 2, 6)
	l := startLoad(t, d, f.groups, 4, 100)
	var garbage []string
	for i, room := range f.groups {
		garbage = append(garbage,
			"", "garbage", `{"event":"group:event"}`, "\x01", "\x02"+strings.Repeat("x", 100),
			strings.Repeat("\xff", 1000),
			"\x01"+fmt.Sprintf("%08d%08d", i, 1),                                        // nothing follows the header
			"\x01"+fmt.Sprintf("%08d%08d", i, 2)+"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", // the length is too large
			"\x01"+fmt.Sprintf("%08d%08d", i, 3)+"\x05group",
		)
		for _, g := range garbage {
			for range 5 {
				if err := sockets.Client().Publish(t.Context(), "moim:room:group:"+room, g).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// These are valid envelopes but no events of this group, so the feed must reject them: the
	// version is not a number, or the data is not an event.
	for _, room := range f.groups {
		for i, forged := range []string{
			envelopeOf(uint64(10), "group:event", "", "{}"),
			envelopeOf(uint64(11), "group:event", "nonsense", "{}"),
			envelopeOf(uint64(12), "group:event", "-4 message.posted", "{}"),
		} {
			if err := sockets.Client().Publish(t.Context(), "moim:room:group:"+room, forged).Err(); err != nil {
				t.Fatalf("forgery %d: %v", i, err)
			}
		}
	}
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+100 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	var counted float64
	for _, n := range d.nodes {
		malformed := n.Metric("moim_adapter_malformed_total")
		if malformed < float64(len(garbage)) {
			t.Errorf("%s counted %v of %d kinds of garbage", n.name, malformed, len(garbage))
		}
		counted += malformed
		if status, err := n.probe("/readyz"); status != http.StatusOK {
			t.Errorf("%s: /readyz answers %d, %v", n.name, status, err)
		}
	}
	for _, s := range f.sessions {
		if s.follows.Load() != 1 {
			t.Errorf("%s was disconnected", s.name)
		}
	}
	t.Logf("T20: %v malformed messages counted and dropped; %d messages, %d lost, %d doubled", counted, l.acked.Load(), lost, doubled)
}

// envelopeOf returns an envelope as a node sends it. See wire.go of redisadapter.
func envelopeOf(number uint64, event, meta, data string) string {
	b := append([]byte{1}, "a sender"...)
	b = binary.BigEndian.AppendUint64(b, number)
	for _, s := range []string{event, "", meta} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return string(append(append(b, 0), data...))
}

// TestT22FlushGroupRedis deletes all data on the server of the group role (FLUSHALL). This server
// holds no durable data. The nodes must write the presence again, and no member may be shown as
// gone meanwhile.
func TestT22FlushGroupRedis(t *testing.T) {
	t.Parallel()
	groups := redistest.Start(t)
	d := startOnOne(t, 3, "MOIM_REDIS_GROUP_URL="+groups.URL())
	f := newFleet(t, d, 2, 9)
	watchers := make([]*client, len(d.nodes))
	for i := range d.nodes {
		watchers[i] = watchPresence(t, d.ws(t, i, "ana"), f.groups[0])
	}
	l := startLoad(t, d, f.groups, 4, 100)
	f.needOnline(0, f.groups[0], d.api(0, "ana"))
	if err := groups.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range d.nodes {
		f.needOnline(time.Minute, f.groups[0], d.api(i, "ana"))
	}
	back := time.Since(began)
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+100 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	for _, w := range watchers {
		for _, s := range f.sessions {
			told := pushedPresence(w, f.groups[0], s.user)
			if slices.ContainsFunc(told, func(status string) bool { return status != "online" }) {
				t.Errorf("%s received changes of %s, who was always online: %q", w.name, s.user, told)
			}
		}
	}
	t.Logf("T22: everybody online again on every node %s after FLUSHALL, nobody shown to have gone; %d messages, %d lost, %d doubled",
		back.Round(time.Millisecond), l.acked.Load(), lost, doubled)
}
