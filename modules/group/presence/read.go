package presence

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// readTimeout bounds one read of the store.
const readTimeout = 5 * time.Second

// presenceRead is one read of a group's presence. All calls made before it began share it,
// so many subscribers cost few reads.
type presenceRead struct {
	done    chan struct{}
	present []group.Present
	err     error
	next    *presenceRead // for calls that come while this one runs; may be nil
}

// read returns a group's presence. The read begins after the call.
func (p *Tracker) read(ctx context.Context, groupID string) ([]group.Present, error) {
	p.mu.Lock()
	r := p.reads[groupID]
	switch {
	case r == nil:
		r = &presenceRead{done: make(chan struct{})}
		if !p.tasks.Run(func(ctx context.Context) { p.runReads(ctx, groupID, r) }) {
			p.mu.Unlock()
			return p.store.List(ctx, groupID)
		}
		p.reads[groupID] = r
	case r.next == nil:
		r.next = &presenceRead{done: make(chan struct{})}
		r = r.next
	default:
		r = r.next
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		return slices.Clone(r.present), r.err
	case <-ctx.Done():
		return nil, fault.ErrUnavailable.WithCause(ctx.Err())
	}
}

// runReads reads once, and again as long as calls came during the last read.
func (p *Tracker) runReads(ctx context.Context, groupID string, r *presenceRead) {
	for r != nil {
		limited, cancel := context.WithTimeout(ctx, readTimeout)
		r.present, r.err = p.store.List(limited, groupID)
		cancel()
		close(r.done)
		p.mu.Lock()
		if r = r.next; r == nil {
			delete(p.reads, groupID)
		} else {
			p.reads[groupID] = r
		}
		p.mu.Unlock()
	}
}

// Missed returns the changes between two lists of presence, as the data of one or more
// group:presence events.
func Missed(groupID string, before, after []group.Present) (pushes []json.RawMessage) {
	add := func(data json.RawMessage, err error) {
		if err == nil { // presence may be lost: skip what cannot be encoded
			pushes = append(pushes, data)
		}
	}
	rest := changesBetween(before, after)
	if online := online(after); online > maxNamed && len(rest) > 0 {
		add(encodeCount(groupID, online))
		return pushes
	}
	for len(rest) > 0 {
		var first []group.PresenceChange
		if first, rest = split(rest); len(first) == 0 {
			return pushes // the next item cannot be encoded
		}
		add(encode(groupID, first))
	}
	return pushes
}

func online(present []group.Present) (n int) {
	for _, p := range present {
		if p.Status == group.StatusOnline {
			n++
		}
	}
	return n
}

// changesBetween returns the changes between two lists of presence.
func changesBetween(before, after []group.Present) []group.PresenceChange {
	was := make(map[string]group.Present, len(before))
	for _, p := range before {
		was[p.UserID] = p
	}
	asOf := time.Time{}
	for _, p := range after {
		if p.AsOf.After(asOf) {
			asOf = p.AsOf
		}
	}
	if asOf.IsZero() { // after is empty
		asOf = time.Now().UTC()
	}
	var changes []group.PresenceChange
	for _, p := range after {
		old, known := was[p.UserID]
		delete(was, p.UserID)
		if known && old.Status == p.Status && string(old.State) == string(p.State) || !known && p.Status == group.StatusOffline {
			continue
		}
		changes = append(changes, group.PresenceChange{UserID: p.UserID, Status: p.Status, State: p.State, At: asOf})
	}
	for userID, p := range was { // missing in after
		if p.Status != group.StatusOffline {
			changes = append(changes, group.PresenceChange{UserID: userID, Status: group.StatusOffline, At: asOf})
		}
	}
	return changes
}
