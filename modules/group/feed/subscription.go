package feed

import (
	"slices"

	"github.com/moim-live/moim/modules/group"
)

// subscription is one socket's place in a topic. It is held back until it has
// caught up with the topic's head. Then it is live.
type subscription struct {
	socket   Subscriber
	backend  bool    // as its socket: constant
	admitted bool    // Admit allowed it
	signals  bool    // its user may signal; false: the database must be asked
	released bool    // the answer is queued: events may follow
	pos      int64   // the last version sent, while held
	since    int64   // the version that its admission knew of
	missed   []*item // read from the log, from pos+1 on, to be sent while held
	resting  bool    // the socket was busy: catching up waits
	ends     string  // the reason for which it ended before its release, if it did
}

// watched reports whether the watcher knows of the subscription.
func (sub *subscription) watched() bool { return sub.admitted && !sub.backend }

// reached returns the last version that can be sent without reading the log.
func (sub *subscription) reached() int64 {
	if n := len(sub.missed); n > 0 {
		return sub.missed[n-1].version
	}
	return sub.pos
}

// endedBy reports whether an event, which ends subscriptions of user, ends this
// one. An event from before the admission does not: the user has come back since.
func (sub *subscription) endedBy(it *item, user string) bool {
	if it.version <= sub.since {
		return false
	}
	return user == "" || !sub.backend && user == sub.socket.UserID()
}

// closing is a subscription that has ended, and the reason. Its socket has not
// been told yet.
type closing struct {
	sub    *subscription
	reason string
}

// waiter is one call that waits for a read of the log.
type waiter struct {
	user  string
	since *int64
	page  *excerpt // shared: not modified
	err   error
	done  chan struct{}
}

// excerpt is a part of a group's log at one moment, read in one epoch of its
// topic.
type excerpt struct {
	group.LogPage
	items []*item // made of Events, which is nil
	epoch int
}

// first returns the oldest version in the log, or the next one when it is empty.
func (p *excerpt) first() int64 {
	if p.First == 0 {
		return p.Group.Version + 1
	}
	return p.First
}

// itemsAfter returns the items that follow version since without a hole, up to
// missedBytes but at least one.
func itemsAfter(items []*item, since int64) []*item {
	if len(items) == 0 {
		return nil
	}
	begin := since + 1 - items[0].version
	if begin < 0 || begin >= int64(len(items)) {
		return nil
	}
	end, size := begin, 0
	for end < int64(len(items)) && items[end].version == since+1+end-begin {
		if size += len(items[end].wire); size > missedBytes && end > begin {
			break
		}
		end++
	}
	return slices.Clone(items[begin:end])
}

// answer returns where an admitted subscription begins.
func (w *waiter) answer() Subscription {
	g := w.page.Group
	if w.since == nil {
		return Subscription{Group: g, Version: g.Version}
	}
	if since := *w.since; since <= g.Version && since >= w.page.first()-1 {
		return Subscription{Group: g, Version: since}
	}
	return Subscription{Group: g, Version: g.Version, Snapshot: true}
}
