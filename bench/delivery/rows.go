//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// kind is the kind of measurement of a row.
type kind int

const (
	delivering kind = iota // messages to subscribed sockets
	storing                // stored messages, compared with signals
	connecting             // connecting and subscribing, and the memory of an idle socket
	idling                 // messages of other nodes that a node without sockets receives
	isolating              // latency of messages in small rooms while a large one is busy
)

// row is one measurement of each server.
type row struct {
	name  string // name in the flag
	kind  kind
	need  peers.Need
	rate  int // messages per second, over all rooms except the large one
	large large
	// limits are Moim's maximum cost as a fraction of each peer's.
	limits map[string]float64
	// grows means that a delivery may cost at most as much as in the previous row with
	// grows.
	grows bool
	// only has the names of the servers that take part; all if empty.
	only []string
}

// large is the traffic in the large room.
type large struct {
	rate  int // messages per second
	churn load.Churn
}

// growthSlack is the factor up to which costs count as equal, because results vary between
// runs.
const growthSlack = 1.05

// storedLimit is the maximum cost of delivering a stored message, relative to a signal.
const storedLimit = 1.5

// isolationLimit is the maximum increase of the small groups' p99 because of a large group.
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

// within returns limits relative to centrifuge and socket.io.
func within(centrifuge, socketIO float64) map[string]float64 {
	return map[string]float64{"centrifuge": centrifuge, "socketio": socketIO}
}

var (
	memoryLimits  = map[string]float64{"centrifuge": 0.40}
	connectLimits = map[string]float64{"centrifuge": 1.3}
	lateLimits    = within(1.0, 1.0)
)

// lateAnyway is the p99 up to which Moim need not be faster than centrifuge.
const lateAnyway = 5 * time.Millisecond

// polledLimits are the limits for messages over HTTP long polling.
var polledLimits = map[string]float64{"socketio": 0.50}

var (
	growing = []string{"moim", "naked"}
	alone   = []string{"moim"}
	twice   = []string{"moim", "moim-stored"}
	pollers = []string{"moim", "socketio", "naked"}
)

// busy is the traffic in the large room: 100 clients come back per second.
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
