package presence

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// readTimeout bounds one read that several wait for.
const readTimeout = 5 * time.Second

// presenceRead is one read of a group's presence, for all who asked before it
// began: many who subscribe at once share a few.
type presenceRead struct {
	done    chan struct{}
	present []group.Present
	err     error
	next    *presenceRead // for who asks while this one runs; nil: nobody did
}

// read returns what the store says of a group, as of a moment after the call.
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

// runReads reads once, and again as long as somebody asks meanwhile.
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

// Missed returns what a subscriber who was shown before, and would be shown after
// now, was not told: the data of as many group:presence as that takes.
func Missed(groupID string, before, after []group.Present) (pushes []json.RawMessage) {
	for part := range slices.Chunk(changesBetween(before, after), maxItems) {
		if data, err := encode(groupID, part); err == nil { // presence is at most once
			pushes = append(pushes, data)
		}
	}
	return pushes
}

// changesBetween says what became of members between two readings, the way
// subscribers are told.
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
	if asOf.IsZero() { // the store knows of nobody
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
	for userID, p := range was { // gone, and not even lately there
		if p.Status != group.StatusOffline {
			changes = append(changes, group.PresenceChange{UserID: userID, Status: group.StatusOffline, At: asOf})
		}
	}
	return changes
}
