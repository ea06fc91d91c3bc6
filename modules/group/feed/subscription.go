package feed

import (
	"slices"

	"github.com/moim-live/moim/modules/group"
)

// subscription is one socket's position in a topic. Its events are held back until the
// socket has caught up with the topic's head. Then it is live.
type subscription struct {
	socket   Subscriber
	backend  bool    // of an application's back end; never changes
	admitted bool    // Admit has allowed it
	signals  bool    // the user may signal; if false, the database must be asked
	released bool    // the answer is queued, so events may follow
	pos      int64   // the last version that was sent, while held
	since    int64   // the version of the group at its admission
	missed   []*item // events read from the log that are to be sent while held, from pos+1 on
	endedAt  int64   // the version of the last event that ended the subscription while held
	resting  bool    // the socket was busy, so catching up pauses
	ends     string  // if not empty, why the subscription ended before its release
}

// watched reports whether the watcher is told of the subscription.
func (sub *subscription) watched() bool { return sub.admitted && !sub.backend }

// reached returns the last version that can be sent without reading the log.
func (sub *subscription) reached() int64 {
	if n := len(sub.missed); n > 0 {
		return sub.missed[n-1].version
	}
	return sub.pos
}

// endedBy reports whether an event that ends the subscriptions of user ends this one. An
// event from before the admission does not, because the user has come back since.
func (sub *subscription) endedBy(it *item, user string) bool {
	if it.version <= sub.since {
		return false
	}
	return user == "" || !sub.backend && user == sub.socket.UserID()
}

// closing is a subscription that has ended, but whose socket has not been told yet.
type closing struct {
	sub    *subscription
	reason string
}

// waiter is one call that waits for a read of the log.
type waiter struct {
	user  string
	since *int64
	page  *excerpt // shared with other waiters: do not modify
	err   error
	done  chan struct{}
}

// excerpt is a part of a group's log, read at one moment in one epoch of the topic.
type excerpt struct {
	group.LogPage
	items []*item // made from Events, which is then nil
	epoch int
}

// first returns the oldest version in the log, or the next version if the log is empty.
func (p *excerpt) first() int64 {
	if p.First == 0 {
		return p.Group.Version + 1
	}
	return p.First
}

// itemsAfter returns the items that follow version since without a gap: at least one, and
// up to missedBytes.
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

// answer returns the answer for an admitted subscriber.
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
