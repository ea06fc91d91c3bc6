package adaptertest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func testReach(t *testing.T, open Open) {
	nodes := start(t, open)
	for _, n := range nodes {
		n.join(t, "r", "fence")
	}
	for i := range 10 {
		nodes[0].publish(t, adapter.Envelope{Room: "r", Event: "e", Data: []byte(strconv.Itoa(i))})
	}
	nodes[1].wants(t, "r", 10)
	nodes[2].wants(t, "r", 10)
	// Another node publishes afterwards: an echo would have arrived before that.
	nodes[1].publish(t, adapter.Envelope{Room: "fence", Event: "e"})
	nodes[0].wants(t, "fence", 1)
	quiet()
	nodes[0].wants(t, "r", 0)
	nodes[1].wants(t, "r", 10)
}

func testInterest(t *testing.T, open Open) {
	nodes := start(t, open)
	nodes[1].join(t, "a", "fence")
	nodes[2].join(t, "a", "b", "fence")
	nodes[2].Unsubscribe("a")
	nodes[1].Unsubscribe("never wanted")
	nodes[0].publish(t, adapter.Envelope{Room: "a", Event: "e"})
	nodes[0].publish(t, adapter.Envelope{Room: "b", Event: "e"})
	nodes[0].publish(t, adapter.Envelope{Room: "nobody's", Event: "e"})
	nodes[0].publish(t, adapter.Envelope{Room: "fence", Event: "e"})
	for _, n := range nodes[1:] {
		n.wants(t, "fence", 1)
	}
	nodes[1].wants(t, "a", 1)
	nodes[2].wants(t, "b", 1)
	quiet()
	nodes[1].wants(t, "b", 0)
	nodes[2].wants(t, "a", 0)
	for _, n := range nodes {
		n.wants(t, "nobody's", 0)
	}
}

func testUnchanged(t *testing.T, open Open) {
	nodes := start(t, open)
	envelopes := []adapter.Envelope{
		{Room: "room", Event: "event", Data: []byte(`{"a":1}`), Except: "socket", To: []string{"u1", "u2"}, Meta: "meta"},
		{Room: "room", Event: "event"},
		{Room: "room", Event: "", Data: []byte{}},
		{Room: "방:모임 🎉", Event: "모임:이벤트", Data: []byte(`"안녕\u0000"`), Except: "소켓", To: []string{"사용자"}, Meta: "메타"},
		{Room: "a:b#c*?[]{}\"' \n\x00\xff", Event: "\x00\xff", Data: []byte{0, 0xff, '\r', '\n'}, Except: "\r\n", To: []string{"", "\x00"}, Meta: "\xfe"},
		{Room: strings.Repeat("r", 300), Event: strings.Repeat("e", 300), Except: strings.Repeat("x", 300), Meta: strings.Repeat("m", 300)},
		{Room: "to", Event: "event", To: users(1000)},
		{Room: "room", Event: "event", Data: []byte(`1,2`), List: true, Binary: [][]byte{{1}, {}, {0, 0xff}}, Offset: "node1"},
		{Room: "room", Event: "event", Volatile: true, Offset: "오프셋"},
		{Room: "room", Event: "event", Lossy: true},
		{Room: "room", Event: "event", Binary: [][]byte{{1}}, Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}
	rooms := make(map[string]bool)
	for _, env := range envelopes {
		if !rooms[env.Room] {
			rooms[env.Room] = true
			nodes[1].join(t, env.Room)
		}
		before := len(nodes[1].envelopes())
		nodes[0].publish(t, env)
		waittest.Until(t, "the envelope", func() bool { return len(nodes[1].envelopes()) > before })
		if diff := cmp.Diff(env, nodes[1].envelopes()[before], cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}

func users(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "user-" + strconv.Itoa(i)
	}
	return ids
}

func testLarge(t *testing.T, open Open) {
	nodes := start(t, open)
	nodes[1].join(t, "r")
	for i, size := range []int{100 << 10, 1 << 20, 4 << 20} {
		data := bytes.Repeat([]byte{byte('a' + i)}, size)
		nodes[0].publish(t, adapter.Envelope{Room: "r", Event: "e", Data: data})
		nodes[1].wants(t, "r", i+1)
		if !bytes.Equal(nodes[1].envelopes()[i].Data, data) {
			t.Fatalf("%d bytes arrived changed", size)
		}
	}
}

func testOrder(t *testing.T, open Open) {
	const rooms, each = 4, 150
	nodes := start(t, open)
	for _, n := range nodes {
		for r := range rooms {
			n.join(t, room(r))
		}
	}
	var publishers sync.WaitGroup
	for i, n := range nodes {
		for r := range rooms {
			publishers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				for k := range each {
					env := adapter.Envelope{Room: room(r), Event: "e", Meta: strconv.Itoa(i), Data: []byte(strconv.Itoa(k))}
					if k%3 == 0 { // Publish and Cast share one order
						n.Cast(ctx, env)
						continue
					}
					if err := n.Publish(ctx, env); err != nil {
						t.Errorf("publish: %v", err)
						return
					}
				}
			})
		}
	}
	publishers.Wait()
	for i, n := range nodes {
		for r := range rooms {
			n.wants(t, room(r), 2*each)
		}
		next := make(map[string]int)
		for _, env := range n.envelopes() {
			key := env.Room + " from " + env.Meta
			if got := string(env.Data); got != strconv.Itoa(next[key]) {
				t.Fatalf("node %d received %s of %s, want %d", i, got, key, next[key])
			}
			next[key]++
		}
	}
}

func room(i int) string { return fmt.Sprintf("room-%d", i) }

func testConcurrent(t *testing.T, open Open) {
	nodes := start(t, open)
	var all sync.WaitGroup
	for i, n := range nodes {
		for g := range 4 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				for k := range 100 {
					name := room((g + k) % 6)
					n.Subscribe(name)
					if err := n.Publish(ctx, adapter.Envelope{Room: name, Event: "e", To: []string{"u"}, Data: []byte("{}")}); err != nil {
						t.Errorf("node %d: publish: %v", i, err)
					}
					if k%10 == 0 {
						if err := n.Health(ctx); err != nil {
							t.Errorf("node %d: health: %v", i, err)
						}
					}
					n.Unsubscribe(name)
				}
			})
		}
	}
	all.Wait()
	for _, n := range nodes {
		n.join(t, "after")
	}
	nodes[0].publish(t, adapter.Envelope{Room: "after", Event: "e"})
	nodes[1].wants(t, "after", 1)
	nodes[2].wants(t, "after", 1)
}
