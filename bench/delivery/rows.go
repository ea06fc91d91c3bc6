//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// kind is what a row measures.
type kind int

const (
	delivering kind = iota // messages to subscribed sockets
	storing                // messages that are stored, beside signals
	connecting             // connecting and subscribing, and what an idle socket keeps
	idling                 // what a node without sockets receives from the others
	isolating              // how late messages of small rooms are beside a large one
)

// row is one thing to measure of each server.
type row struct {
	name  string // as the flag has it
	kind  kind
	need  peers.Need
	rate  int // messages a second, over all rooms but the large one
	large large
	// limits are Moim's cost at most, as parts of each peer's.
	limits map[string]float64
	// grows says that a delivery costs at most what it costs in the row before
	// that grows, too.
	grows bool
	// only names the servers that take part; empty: all.
	only []string
}

// large is what happens in the large room.
type large struct {
	rate  int // messages a second
	churn load.Churn
}

// growthSlack is how much more counts as the same: figures differ from run to
// run.
const growthSlack = 1.05

// storedLimit is what a delivery of a stored message may cost, as a part of a
// signal's.
const storedLimit = 1.5

// isolationLimit is what a large group may add to the p99 of small ones.
const isolationLimit = 5 * time.Millisecond

func (r row) has(peer string) bool {
	if peer == before {
		peer = ours
	}
	if len(r.only) == 0 {
		return peer != "moim-stored"
	}
	return slices.Contains(r.only, peer)
}

// limits as parts of centrifuge and of socket.io.
func within(centrifuge, socketIO float64) map[string]float64 {
	return map[string]float64{"centrifuge": centrifuge, "socketio": socketIO}
}

var (
	memoryLimits  = map[string]float64{"centrifuge": 0.40}
	connectLimits = map[string]float64{"centrifuge": 1.3}
	lateLimits    = within(1.0, 1.0)
)

// lateAnyway is the p99 up to which Moim need not be quicker than centrifuge.
const lateAnyway = 5 * time.Millisecond

// polledLimits are those of messages by HTTP long polling.
var polledLimits = map[string]float64{"socketio": 0.50}

var (
	growing = []string{"moim", "naked"}
	alone   = []string{"moim"}
	twice   = []string{"moim", "moim-stored"}
	pollers = []string{"moim", "socketio", "naked"}
)

// busy is what happens in the large room of isolation: clients come back 100
// times a second.
var busy = large{rate: 50, churn: load.Churn{Reconnects: 50, Resubscribes: 50}}

var rows = []row{
	{name: "1x1000@20", need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 20, limits: within(0.75, 0.65)},
	{name: "1x1000@200", need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 200, limits: within(0.85, 0.40)},
	{name: "1x200@1000", need: peers.Need{Nodes: 1, Rooms: 1, Members: 200}, rate: 1000, limits: within(0.50, 0.30)},
	{name: "100x10@500/2", need: peers.Need{Nodes: 2, Rooms: 100, Members: 10}, rate: 500, limits: within(0.85, 0.75)},
	{name: "100x10@2000/2", need: peers.Need{Nodes: 2, Rooms: 100, Members: 10}, rate: 2000, limits: within(0.85, 0.80)},
	{name: "connect", kind: connecting, need: peers.Need{Nodes: 1, Rooms: 80, Members: 100}},
	{name: "connect-1x8000", kind: connecting, need: peers.Need{Nodes: 1, Rooms: 1, Members: 8000}, only: alone},

	{name: "growth-10@10", need: peers.Need{Nodes: 1, Rooms: 1, Members: 10}, rate: 10, grows: true, only: growing},
	{name: "growth-100@10", need: peers.Need{Nodes: 1, Rooms: 1, Members: 100}, rate: 10, grows: true, only: growing},
	{name: "growth-1000@10", need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 10, grows: true, only: growing},
	{name: "growth-10000@10", need: peers.Need{Nodes: 1, Rooms: 1, Members: 10000}, rate: 10, grows: true, only: growing},

	{name: "growth-10@2000", need: peers.Need{Nodes: 1, Rooms: 1, Members: 10}, rate: 2000, only: growing},
	{name: "growth-100@200", need: peers.Need{Nodes: 1, Rooms: 1, Members: 100}, rate: 200, only: growing},
	{name: "growth-1000@20", need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 20, only: growing},
	{name: "growth-10000@2", need: peers.Need{Nodes: 1, Rooms: 1, Members: 10000}, rate: 2, only: growing},

	{name: "stored-1x1000@20", kind: storing, need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 20, only: twice},
	{name: "stored-1x1000@200", kind: storing, need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000}, rate: 200, only: twice},
	{name: "idle", kind: idling, need: peers.Need{Nodes: 3, Idle: 1, Rooms: 100, Members: 10}, rate: 2000, only: alone},

	{name: "polling-1x1000@5", need: peers.Need{Nodes: 1, Rooms: 1, Members: 1000, Polling: true}, rate: 5, limits: polledLimits, only: pollers},
	{name: "polling-100x10@200", need: peers.Need{Nodes: 1, Rooms: 100, Members: 10, Polling: true}, rate: 200, limits: polledLimits, only: pollers},
	{name: "polling-1x100@200", need: peers.Need{Nodes: 1, Rooms: 1, Members: 100, Polling: true}, rate: 200, limits: polledLimits, only: pollers},
	{name: "connect-polling", kind: connecting, need: peers.Need{Nodes: 1, Rooms: 80, Members: 50, Polling: true}, only: pollers},

	{name: "isolation", kind: isolating, need: peers.Need{Nodes: 1, Rooms: 100, Members: 10, Large: 5000, Stored: true}, rate: 300, large: busy, only: alone},
	{name: "isolation-1000", kind: isolating, need: peers.Need{Nodes: 1, Rooms: 100, Members: 10, Large: 1000, Stored: true}, rate: 300, large: busy, only: alone},
}
