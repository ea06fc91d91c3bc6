package redispresence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// read lists users who are online, reconnecting, or went offline lately. It reads the nodes
// after the users, so it knows the node of every user.
func (s *Store) read(ctx context.Context, groupID, epoch string) ([]group.Present, error) {
	keys := s.keys.group(groupID, epoch)
	pipe := s.client.Pipeline()
	began := pipe.Time(ctx)
	users := pipe.HGetAll(ctx, keys[0])
	known := readGroup(ctx, pipe, keys)
	live := s.askLive(ctx, pipe)
	broken, err := readable(pipe.Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("list who is present: %w", err)
	}
	nodes, now, err := liveNodes(live, epoch)
	if err != nil {
		return nil, err
	}
	if broken {
		if err := s.repairGroup(ctx, groupID); err != nil {
			s.log.DebugContext(ctx, "redispresence: cannot remove a broken value yet", "group", groupID, "err", err)
		}
	}
	l := listing{nodes: nodes, began: began.Val().UTC().Truncate(time.Millisecond), now: now, states: known.states.Val(), at: make(map[string]struct{})}
	l.users(users.Val())
	l.graces(known.graces.Val(), known.reasons.Val())
	l.lately(known.lately.Val())
	if len(l.strays) > 0 {
		s.scheduleStrays(groupID, l.strays)
	}
	if len(l.broken) > 0 {
		if err := s.removeStates(ctx, groupID, epoch, l.broken); err != nil {
			s.log.DebugContext(ctx, "redispresence: cannot remove a broken value yet", "group", groupID, "err", err)
		}
	}
	return l.items, nil
}

// groupResults are the results of readGroup: all that the server knows about a group except
// its online users.
type groupResults struct {
	reasons, states *redis.MapStringStringCmd
	graces, lately  *redis.ZSliceCmd
}

// readGroup adds the commands that read a group to a pipeline.
func readGroup(ctx context.Context, pipe redis.Pipeliner, keys []string) groupResults {
	return groupResults{
		graces:  pipe.ZRangeWithScores(ctx, keys[1], 0, -1),
		reasons: pipe.HGetAll(ctx, keys[2]),
		states:  pipe.HGetAll(ctx, keys[3]),
		lately:  pipe.ZRangeWithScores(ctx, keys[4], 0, -1),
	}
}

func (s *Store) askLive(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	return s.scripts.live.Eval(ctx, pipe, []string{s.keys.nodes()}, s.away())
}

// liveNodes parses the reply of live.lua. It returns the known nodes, each with true if it
// is alive, and the server's time. It fails while the server does not know who is present.
func liveNodes(live *redis.Cmd, epoch string) (map[string]bool, time.Time, error) {
	answer, err := live.Slice()
	switch {
	case err != nil:
		return nil, time.Time{}, fmt.Errorf("list live nodes: %w", err)
	case len(answer) < 3:
		return nil, time.Time{}, fmt.Errorf("list live nodes: an answer of %d parts", len(answer))
	case answer[0] != epoch:
		return nil, time.Time{}, errForgotten
	case answer[1] != int64(0):
		return nil, time.Time{}, errWaiting
	}
	nodes := make(map[string]bool, len(answer))
	for _, id := range texts(answer[3:]) {
		id, dead := strings.CutPrefix(id, "d ")
		nodes[id] = !dead
	}
	return nodes, timeOf(text(answer[2])), nil
}

// count counts the online users of each group. It includes users of dead nodes that are not
// swept yet.
func (s *Store) count(ctx context.Context, groupIDs []string, epoch string) ([]int, error) {
	pipe := s.client.Pipeline()
	sizes := make([]*redis.IntCmd, len(groupIDs))
	for i, groupID := range groupIDs {
		sizes[i] = pipe.HLen(ctx, s.keys.users(groupID, epoch))
	}
	live := s.askLive(ctx, pipe)
	broken, err := readable(pipe.Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("count who is present: %w", err)
	}
	if _, _, err := liveNodes(live, epoch); err != nil {
		return nil, err
	}
	counts := make([]int, len(groupIDs))
	for i, size := range sizes {
		counts[i] = int(size.Val())
		if broken && isWrongType(size.Err()) {
			if err := s.repairGroup(ctx, groupIDs[i]); err != nil {
				s.log.DebugContext(ctx, "redispresence: cannot remove a broken value yet", "group", groupIDs[i], "err", err)
			}
		}
	}
	return counts, nil
}

// listing builds the list of who is present.
type listing struct {
	nodes  map[string]bool // nodes that the server knows; true if alive
	began  time.Time
	now    time.Time
	states map[string]string
	items  []group.Present
	at     map[string]struct{} // ids of users in items
	strays []string            // nodes that users are listed on and that the server does not know
	broken map[string]string   // by user: live states that are not JSON
}

func (l *listing) add(p group.Present, since time.Time) {
	userID := p.UserID
	if _, is := l.at[userID]; is {
		return
	}
	l.at[userID] = struct{}{}
	p.AsOf = l.began
	if p.Status != group.StatusOffline {
		stored := l.states[userID]
		if p.State = stateOf(stored); p.State == nil && stored != "" {
			l.addBroken(userID, stored)
		}
	}
	if !since.IsZero() {
		p.LastSeenAt = &since
	}
	l.items = append(l.items, p)
}

func (l *listing) addBroken(userID, state string) {
	if l.broken == nil {
		l.broken = make(map[string]string)
	}
	l.broken[userID] = state
}

// users adds users who are online. A user who is only on dead nodes is listed as
// reconnecting, because the sweep will begin their grace.
func (l *listing) users(nodes map[string]string) {
	for userID, ids := range nodes {
		p := group.Present{UserID: userID, Status: group.StatusReconnecting}
		for id := range strings.FieldsSeq(ids) {
			alive, known := l.nodes[id]
			if alive {
				p.Status = group.StatusOnline
				if name := nodeOf(id); name != "" {
					p.Nodes = append(p.Nodes, name)
				}
			}
			if !known && len(l.strays) < maxStrays && !slices.Contains(l.strays, id) {
				l.strays = append(l.strays, id)
			}
		}
		l.add(p, time.Time{})
	}
}

// graces adds users who are reconnecting, or whose grace has just ended.
func (l *listing) graces(graces []redis.Z, reasons map[string]string) {
	for _, z := range graces {
		userID, _ := z.Member.(string)
		reason, since, _ := strings.Cut(reasons[userID], " ")
		p := group.Present{UserID: userID, Status: group.StatusReconnecting, Reason: reason}
		if till := timeOfScore(z.Score); !till.After(l.now) || till.After(l.now.Add(horizon)) { // over, or not a valid time
			p.Status, p.Reason = group.StatusOffline, ""
		}
		l.add(p, timeOf(since))
	}
}

func (l *listing) lately(seen []redis.Z) {
	for _, z := range seen {
		userID, _ := z.Member.(string)
		at := timeOfScore(z.Score)
		if age := l.now.Sub(at); age < presence.LatelyFor && age > -horizon {
			l.add(group.Present{UserID: userID, Status: group.StatusOffline}, at)
		}
	}
}
