package feed

import (
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

// maxSenders limits how many users of a group a node remembers as members without a
// subscription.
const maxSenders = 1000

var _ group.Senders = (*Feed)(nil)

// MaySend implements [group.Senders].
func (f *Feed) MaySend(caller auth.Identity, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.maySend(caller)
}

// Found implements [group.Senders].
func (f *Feed) Found(caller auth.Identity, groupID string, version int64) {
	if t := f.topic(groupID); t != nil && !caller.Admin {
		t.found(caller.UserID, version)
	}
}

// GoesOn reports whether s is subscribed to the group and the group has not ended, as far
// as this node knows. If so, the caller need not ask the database.
func (f *Feed) GoesOn(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.has(s) && !t.isOver()
}

// MaySignal reports whether s may also send signals. If it returns false, ask the database.
func (f *Feed) MaySignal(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.maySignal(s)
}

func (t *topic) maySend(caller auth.Identity) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || t.over {
		return false
	}
	if caller.Admin {
		return true
	}
	_, may := t.senders[caller.UserID]
	return may
}

// found records that a user is a member, until an event ends the membership.
func (t *topic) found(userID string, version int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || t.head > version {
		return // a later event may have ended the membership
	}
	if t.senders == nil || len(t.senders) >= maxSenders {
		t.senders = make(map[string]struct{})
	}
	t.senders[userID] = struct{}{}
}

// maySignal reports whether s is subscribed and its user may send signals.
func (t *topic) maySignal(s Subscriber) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subs[s]
	return sub != nil && sub.admitted && sub.signals && !t.over
}

// requireCheckLocked makes the next signals of a user ask the database whether the user may
// signal; "" means all users. Users for whom it answers yes are then in senders.
func (t *topic) requireCheckLocked(userID string) {
	t.forgetLocked(userID)
	for s, sub := range t.subs {
		if !sub.backend && (userID == "" || userID == s.UserID()) {
			sub.signals = false
		}
	}
}

// forgetLocked removes a user whose membership ended; "" removes all users.
func (t *topic) forgetLocked(userID string) {
	if userID == "" {
		t.senders = nil
		return
	}
	delete(t.senders, userID)
}
