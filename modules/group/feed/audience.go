package feed

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// countEvery is the time between two counts. Until the next count, the node collects the
	// groups to count.
	countEvery = time.Second
	countBatch = 1000
	// countAge is how long a count stays current while it is asked for. countKept is how
	// long a group is kept after the last question.
	countAge  = 10 * time.Second
	countKept = time.Minute
	maxCounts = 10_000
)

// Counter returns how many members each group has online on all nodes. presence.Tracker
// implements it.
type Counter interface {
	Count(ctx context.Context, groupIDs []string) ([]int, error)
}

// attendance remembers how many members are online on all nodes, for the groups that were
// asked about lately. Answers do not wait: they return the last count, and a count that is
// missing or old is refreshed in the background.
type attendance struct {
	counter Counter
	logger  *slog.Logger
	wake    chan struct{}

	mu    sync.Mutex
	known map[string]*counted
}

type counted struct {
	online int
	asked  time.Time // time of the last question
	at     time.Time // when it was counted; zero if never
}

func newAttendance(c Counter, logger *slog.Logger) *attendance {
	return &attendance{counter: c, logger: logger, wake: make(chan struct{}, 1), known: make(map[string]*counted)}
}

// of returns the last count of a group, or 0 if there is none.
func (c *attendance) of(groupID string, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[groupID]
	if k == nil {
		if len(c.known) >= maxCounts {
			return 0
		}
		k = &counted{}
		c.known[groupID] = k
	}
	k.asked = now
	if now.Sub(k.at) >= countAge {
		tasks.Wake(c.wake)
	}
	return k.online
}

// loop runs count at most once per countEvery.
func (c *attendance) loop(ctx context.Context) {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		if !tasks.Pause(ctx, countEvery) {
			return
		}
		c.count(ctx, time.Now())
	}
}

// count refreshes old counts, and removes groups that were not asked about for countKept.
func (c *attendance) count(ctx context.Context, now time.Time) {
	ids := c.due(now)
	if len(ids) == 0 {
		return
	}
	online, err := c.counter.Count(ctx, ids)
	if err != nil { // the next question starts a new count
		c.logger.DebugContext(ctx, "group: cannot count who is online", "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range ids {
		if k := c.known[id]; k != nil {
			k.online, k.at = online[i], now
		}
	}
}

func (c *attendance) due(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(_ string, k *counted) bool { return now.Sub(k.asked) >= countKept })
	var ids []string
	for id, k := range c.known {
		if now.Sub(k.at) >= countAge && now.Sub(k.asked) < countAge {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return c.known[a].at.Compare(c.known[b].at) })
	if len(ids) > countBatch {
		ids = ids[:countBatch]
		tasks.Wake(c.wake)
	}
	return ids
}

// Estimate makes [Feed.Audience] include the subscribers of other nodes, estimated by the
// members online there. Call it before Start.
func (f *Feed) Estimate(c Counter) { f.attendance = newAttendance(c, f.logger) }

// Audience implements group.Audience. It does not wait for other nodes: their part may be
// some seconds old, and is 0 for the first question about a group.
func (f *Feed) Audience(groupID string) int {
	here := len(f.out.Sockets(group.Room(groupID)))
	if f.attendance == nil {
		return here
	}
	return max(here, f.attendance.of(groupID, time.Now()))
}
