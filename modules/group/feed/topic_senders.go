package feed

import (
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

// maxSenders bounds the users of a group that a node knows to be members although
// they are not subscribed.
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

// found records that a user is a member, until an event ends their membership.
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

// forgetLocked removes a user whose membership ended; "" removes everybody.
func (t *topic) forgetLocked(userID string) {
	if userID == "" {
		t.senders = nil
		return
	}
	delete(t.senders, userID)
}
