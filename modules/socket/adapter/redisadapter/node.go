package redisadapter

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// node is the part of a node that its adapters on different servers share. It numbers the
// envelopes that the node sends, and delivers those that it receives.
type node struct {
	log      *slog.Logger
	sender   uint64
	marks    marks
	counters counters
	warned   atomic.Int64

	order  sync.Mutex // held while an envelope is numbered and queued
	number uint64     // number of the last envelope

	delivering *tasks.Group
	beginning  sync.Mutex
	lanes      *lanes // set when the first adapter begins
}

func newNode(log *slog.Logger) *node {
	return &node{log: log, sender: rand.Uint64(), marks: marks{rooms: make(map[string][]mark)}, delivering: tasks.New()}
}

// join counts an adapter of the node until left is called. When the last adapter has left,
// delivery ends.
func (n *node) join() (left func(context.Context) error) {
	n.marks.ways.Add(1)
	var once sync.Once
	return func(ctx context.Context) error {
		last := false
		once.Do(func() { last = n.marks.ways.Add(-1) == 0 })
		if !last {
			return nil
		}
		return n.delivering.Stop(ctx)
	}
}

// deliverTo starts delivery on the first call.
func (n *node) deliverTo(sink func(adapter.Envelope)) {
	n.beginning.Lock()
	defer n.beginning.Unlock()
	if n.lanes == nil {
		n.lanes = newLanes(&n.counters, sink)
		n.lanes.run(n.delivering)
	}
}

// isOwn reports whether a message looks like one of this node. It does not check the
// signature, because a forged message with this sender is dropped, too.
func (n *node) isOwn(message string) bool {
	if len(message) >= sealSize && message[0] == signedVersion {
		message = message[sealSize:]
	}
	h, err := decodeHeader(message)
	return err == nil && h.sender == n.sender
}

// refuse counts a message that is not delivered. It logs at most once a second.
func (n *node) refuse(counter *atomic.Uint64, room string, err error) {
	total := counter.Add(1)
	now, last := time.Now().UnixNano(), n.warned.Load()
	if now-last >= int64(time.Second) && n.warned.CompareAndSwap(last, now) {
		n.log.Warn("redisadapter: dropped a message that is not an envelope", "room", room, "err", err, "total", total)
	}
}
