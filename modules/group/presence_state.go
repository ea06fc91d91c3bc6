package group

import (
	"context"
	"encoding/json"
	"slices"
)

// maxState bounds a member's live state.
const maxState = 4 << 10

// PresenceRequest says what a member is doing.
type PresenceRequest struct {
	State json.RawMessage // an object; null clears it

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *PresenceRequest) UnmarshalJSON(data []byte) error { return r.fill(data, r) }

func (r *PresenceRequest) read(b *body) { r.State, _ = b.raw("state") }

// Validate reports all mistakes at once, as validation_failed.
func (r PresenceRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	switch {
	case r.State == nil:
		m.add("state", "is required")
	case !isNull(r.State):
		m.object("state", tidy(r.State), maxState)
	}
	return m.err()
}

// SetState keeps the live state of a user with a subscribed socket on this
// node: of several, the last one stays. The subscribers are told once a window;
// null clears it. It returns fault.ErrUnavailable when it cannot be stored.
func (p *Presence) SetState(ctx context.Context, groupID, userID string, state json.RawMessage) error {
	at, err := p.store.SetState(ctx, groupID, userID, state)
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	if a.sockets <= 0 || !a.stored { // else the state of somebody who came and went would stay
		a.unsure, a.again = true, true
	}
	if err == nil && a.sockets > 0 {
		p.news.add(groupID, PresenceChange{UserID: userID, Status: StatusOnline, State: state, At: at}).soon = true
		p.wakeLocked()
	}
	p.checkLocked(key, a)
	return err
}
