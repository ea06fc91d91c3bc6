package feed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestNoSubscriptionDiesSilently runs random interleavings of everything that a topic does:
// subscribe, read, admit, release, deliver, close, leave, and a log that goes back. In
// every interleaving, a client that was answered and did not get group:closed must receive
// each event after its answer, once and in order, and each signal. It must end with the
// messages that are in the log. It must never get a text that was removed before its answer,
// or a signal after it was removed from the group.
func TestNoSubscriptionDiesSilently(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		moves := rapid.SliceOfN(rapid.Custom(drawMove), 1, 60).Draw(rt, "moves")
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = play(t, moves) })
		if len(faults) > 0 {
			rt.Fatal(strings.Join(faults, "\n"))
		}
	})
}

// TestAResyncBetweenReadAndAdmitIsNoticed runs the interleaving that first showed the fault
// which [TestNoSubscriptionDiesSilently] looks for.
func TestAResyncBetweenReadAndAdmitIsNoticed(t *testing.T) {
	t.Parallel()
	for name, moves := range map[string][]move{
		"the log went back while it was read": {
			{name: "subscribe"},
			{name: "read"},
			{name: "read"},
			{name: "release"}, // client 0 stays subscribed
			{name: "post"},
			{name: "post"},
			{name: "subscribe", client: 1, back: 1},
			{name: "read"}, // the read has begun, but not returned
			{name: "rewind", back: 1},
			{name: "sleep", long: true},
			{name: "read"},
		},
		"between the answer and its release": {
			{name: "subscribe"},
			{name: "read"},
			{name: "read"},
			{name: "release"},
			{name: "post"},
			{name: "post"},
			{name: "subscribe", client: 1, back: 1},
			{name: "read"},
			{name: "read"},
			{name: "rewind", back: 1},
			{name: "sleep", long: true},
		},
		"after an answer that is later than the delivered events": {
			{name: "subscribe"},
			{name: "read"},
			{name: "read"},
			{name: "release"},
			{name: "lose"},
			{name: "subscribe", client: 1, back: -1},
			{name: "read"}, // twice for the memberships, because a page is shared
			{name: "read"},
			{name: "read"},
			{name: "read"},
			{name: "release", client: 1},
			{name: "rewind"},
			{name: "sleep", long: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, fault := range play(t, moves) {
					t.Error(fault)
				}
			})
		})
	}
}

// move is one step of a model run.
type move struct {
	name   string
	client int
	back   int64 // number of events before the log's last one
	long   bool
}

func (m move) String() string { return fmt.Sprintf("%s %d %d %v", m.name, m.client, m.back, m.long) }

func drawMove(t *rapid.T) move {
	return move{
		name: rapid.SampledFrom([]string{
			"subscribe", "subscribe", "release", "release", "read", "read", "read", "post", "post", "lose", "lose", "tell",
			"rewind", "sleep", "busy", "fail", "remove", "leave", "cancel", "edit", "edit", "delete", "delete", "hold", "free", "signal", "signal",
		}).Draw(t, "name"),
		client: rapid.IntRange(0, modelClients-1).Draw(t, "client"),
		back:   rapid.Int64Range(-1, 3).Draw(t, "back"),
		long:   rapid.Bool().Draw(t, "long"),
	}
}

// hasTaken reports whether a topic has delivered an event to its live subscribers.
func hasTaken(t *topic, version int64) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known && t.head >= version
}

// play makes the moves and waits until everything is quiet. It returns the clients'
// complaints.
func play(t *testing.T, moves []move) (faults []string) {
	t.Helper()
	log := &steppedLog{memoryLog: newMemoryLog(), step: make(chan struct{})}
	log.create("g")
	texts := newMessages(log.memoryLog)
	texts.post()
	node := newCluster(t, log, 1, nil)[0]
	var lost []group.Event
	signals, rewound := 0, false
	clients := make([]*modelClient, modelClients)
	for i := range clients {
		clients[i] = &modelClient{name: fmt.Sprint("c", i), node: node, texts: texts}
	}
	for _, m := range moves {
		c := clients[m.client]
		switch m.name {
		case "subscribe":
			since := new(log.head("g") - m.back)
			if m.back < 0 {
				since = nil
			}
			c.subscribe(t, since)
		case "release":
			c.release()
		case "leave":
			c.leave()
		case "cancel":
			c.cancelled()
		case "busy":
			c.setBusy(m.long)
		case "read":
			time.Sleep(restWait) // reads for subscribers do not begin earlier
			synctest.Wait()
			log.proceed()
		case "fail":
			log.fail()
		case "hold":
			c.setBusy(true)
		case "free":
			c.setBusy(false)
			time.Sleep(briefly)
		case "signal":
			signals++
			for _, c := range clients {
				if !rewound {
					c.expect(signals)
				}
			}
			node.hub.EmitLocal(adapter.Envelope{Room: group.Room("g"), Event: group.EventSignal, Data: fmt.Appendf(nil, `{"version":%d}`, signals)})
		case "post":
			node.feed.Announce(context.Background(), []group.Event{texts.post()})
		case "edit", "delete":
			e, ok := texts.change(log.head("g")-m.back, m.name == "delete")
			switch {
			case ok && m.long:
				lost = append(lost, e)
			case ok:
				node.feed.Announce(context.Background(), []group.Event{e})
			}
		case "remove":
			node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MemberRemoved, `{"userId":"`+c.name+`"}`)})
			if head := log.head("g"); !rewound && hasTaken(node.feed.topic("g"), head) {
				c.wasRemoved(head)
			}
		case "lose":
			lost = append(lost, texts.post())
		case "tell": // late, out of order, or from before the log went back
			if n := len(lost); n > 0 {
				node.feed.Announce(context.Background(), lost[n-1:])
				lost = lost[:n-1]
			}
		case "rewind":
			if head := log.head("g"); head > 2 {
				texts.rewind(max(2, head-m.back-1))
				lost, rewound = nil, true // a version may now name two events
				for _, c := range clients {
					c.wasRemoved(0)
				}
			}
		case "sleep":
			d := 2 * gapWait
			if m.long {
				d = 3 * time.Second
			}
			time.Sleep(d)
		}
		synctest.Wait()
	}
	log.openUp()
	for _, c := range clients {
		c.setBusy(false)
	}
	for range 10 { // also releases clients that are answered only now
		time.Sleep(3 * time.Second)
		for _, c := range clients {
			c.release()
		}
	}
	synctest.Wait()
	for _, c := range clients {
		faults = append(faults, c.complaints(log.head("g"))...)
		node.feed.Drop(c, group.EndDropped)
	}
	synctest.Wait()
	node.feed.mu.Lock()
	defer node.feed.mu.Unlock()
	if n := len(node.feed.topics) + len(node.feed.sockets); n > 0 {
		faults = append(faults, fmt.Sprintf("%d topics and sockets are kept", n))
	}
	return faults
}
