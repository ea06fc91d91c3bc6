package redisadapter

import "sync/atomic"

// Stats are an adapter's counters since it was made.
type Stats struct {
	Published  uint64 // envelopes that the server accepted
	Failed     uint64 // envelopes that could not be published
	Received   uint64 // envelopes of other nodes that were delivered
	Dropped    uint64 // envelopes that came late or twice, or after the unsubscription
	Malformed  uint64 // messages that are not envelopes
	Forged     uint64 // messages that are not signed with this deployment's key
	Reconnects uint64 // lost connections that were replaced
	Queued     int    // messages waiting to be published
	Rooms      int    // rooms that this node needs
}

type counters struct {
	published, failed, received, dropped, malformed, forged, reconnects atomic.Uint64
}

// Count counts the outcome of an envelope that [Adapter.Reserve] was called for.
func (n *node) Count(err error) {
	if err != nil {
		n.counters.failed.Add(1)
		return
	}
	n.counters.published.Add(1)
}

// Stats returns the counters. All but the last two are totals of all adapters of the node.
func (a *Adapter) Stats() Stats {
	queued := 0
	for _, s := range a.shards {
		queued += len(s.publisher.queue)
	}
	return Stats{
		Published:  a.counters.published.Load(),
		Failed:     a.counters.failed.Load(),
		Received:   a.counters.received.Load(),
		Dropped:    a.counters.dropped.Load(),
		Malformed:  a.counters.malformed.Load(),
		Forged:     a.counters.forged.Load(),
		Reconnects: a.counters.reconnects.Load(),
		Queued:     queued,
		Rooms:      a.interests.len(),
	}
}
