package presence

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/group"
)

// SetState sets the live state of a user with a subscribed socket on this node. null clears
// it. The last call wins. Subscribers are told at the end of the window. SetState returns
// fault.ErrUnavailable if the state cannot be stored.
func (p *Tracker) SetState(ctx context.Context, groupID, userID string, state json.RawMessage) error {
	at, err := p.store.SetState(ctx, groupID, userID, state)
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	if a.sockets <= 0 || !a.stored { // write again: otherwise the state of a user who left would remain
		a.unsure, a.again = true, true
	}
	if err == nil && a.sockets > 0 {
		p.news.add(groupID, group.PresenceChange{UserID: userID, Status: group.StatusOnline, State: state, At: at}).soon = true
		p.wakeLocked()
	}
	p.checkLocked(key, a)
	return err
}
