package presence

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// encode returns the data of group:presence.
func encode(groupID string, items []group.PresenceChange) (json.RawMessage, error) {
	return rawjson.Marshal(group.PresenceNews{GroupID: groupID, Items: items})
}

// encodeCount returns the data of group:presence for a large group.
func encodeCount(groupID string, online int) (json.RawMessage, error) {
	return rawjson.Marshal(group.PresenceNews{GroupID: groupID, Online: &online, Items: []group.PresenceChange{}})
}

// split returns the items that fit into one push, and the rest.
func split[T any](items []T) (first, rest []T) {
	size := 0
	for i, c := range items {
		data, err := rawjson.Marshal(c)
		if size += len(data) + len(","); err != nil || i == maxItems || size > maxPush-pushFrame && i > 0 {
			return items[:i], items[i:]
		}
	}
	return items, nil
}

// pushFrame is the maximum size of a push without its items, in bytes.
const pushFrame = 256

// large returns the number of members online in each group of news that gets only this
// number.
func (p *Tracker) large(ctx context.Context, news presenceNews) map[string]int {
	if len(news) == 0 {
		return nil
	}
	groupIDs := slices.Collect(maps.Keys(news))
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	counts, err := p.store.Count(ctx, groupIDs)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(p.crowded, func(_ string, until time.Time) bool { return !now.Before(until) })
	found := make(map[string]int)
	for i, groupID := range groupIDs {
		online := len(p.groups[groupID]) // used while the store is down
		if err == nil {
			online = counts[i]
		}
		if online > maxNamed {
			p.crowded[groupID] = now.Add(stayLarge)
		}
		if _, is := p.crowded[groupID]; is {
			found[groupID] = online
		}
	}
	return found
}

// tell sends a group's changes. Those that do not fit into one push are kept for the next
// window.
func (p *Tracker) tell(ctx context.Context, groupID string, of *groupNews) {
	items := make([]group.PresenceChange, 0, len(of.users))
	for _, userID := range slices.Sorted(maps.Keys(of.users)) {
		items = append(items, of.users[userID])
	}
	items, rest := split(items)
	data, err := encode(groupID, items)
	if err != nil {
		p.log.ErrorContext(ctx, "group: cannot encode a presence change", "group", groupID, "err", err)
		return
	}
	p.cast(ctx, adapter.Envelope{Room: group.Room(groupID), Event: group.EventPresence, Data: data})
	if p.program.Presence != nil {
		for _, push := range group.Pushes(func() []group.Push { return p.program.Presence(groupID, items) }, p.out.CheckEvent, p.log) {
			p.cast(ctx, push.Envelope(groupID))
		}
	}
	if len(rest) > 0 {
		p.later(groupID, rest, of.soon)
	}
}

// tellCount sends the number of members online.
func (p *Tracker) tellCount(ctx context.Context, groupID string, online int) {
	data, err := encodeCount(groupID, online)
	if err != nil {
		p.log.ErrorContext(ctx, "group: cannot encode a presence change", "group", groupID, "err", err)
		return
	}
	p.cast(ctx, adapter.Envelope{Room: group.Room(groupID), Event: group.EventPresence, Data: data})
}

func (p *Tracker) cast(ctx context.Context, env adapter.Envelope) {
	env.Lossy = true
	p.out.CastQueued(ctx, env)
}

// later keeps changes for the next window.
func (p *Tracker) later(groupID string, items []group.PresenceChange, soon bool) {
	old := &groupNews{users: make(map[string]group.PresenceChange, len(items)), soon: soon}
	for _, c := range items {
		old.users[c.UserID] = c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.resting, groupID) // do not wait: this push was not complete
	p.news.putBack(groupID, old)
	p.wakeLocked()
}
