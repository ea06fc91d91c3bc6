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
	// countEvery is how long the node gathers groups before it asks how many members they
	// have online, and how long it waits for the next question.
	countEvery = time.Second
	countBatch = 1000
	// countAge is how long an answer is taken for true while the group is asked about, and
	// countKept how long it is remembered after that.
	countAge  = 10 * time.Second
	countKept = time.Minute
	maxCounts = 10_000
)

// Counter returns how many members groups have online on all nodes. presence.Tracker
// fulfils it.
type Counter interface {
	Count(ctx context.Context, groupIDs []string) ([]int, error)
}

// attendance remembers how many members have been online on all nodes, of the groups that were
// asked about lately. Nobody waits for an answer: a question about a group that is not
// known, or known for long, is answered with what is known, and leads to a new count.
type attendance struct {
	counter Counter
	logger  *slog.Logger
	wake    chan struct{}

	mu    sync.Mutex
	known map[string]*counted
}

type counted struct {
	online int
	asked  time.Time // last
	at     time.Time // when it was counted; zero: not yet
}

func newAttendance(c Counter, logger *slog.Logger) *attendance {
	return &attendance{counter: c, logger: logger, wake: make(chan struct{}, 1), known: make(map[string]*counted)}
}

// of returns the last count of a group, 0 if there is none.
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

// loop counts, at most once a countEvery.
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

// count asks for the groups whose count is old, and forgets those that nobody asks about.
func (c *attendance) count(ctx context.Context, now time.Time) {
	ids := c.due(now)
	if len(ids) == 0 {
		return
	}
	online, err := c.counter.Count(ctx, ids)
	if err != nil { // the next question tries again
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

// Estimate makes [Feed.Audience] count the subscribers of other nodes, too, by who is
// online there. Call it before Start.
func (f *Feed) Estimate(c Counter) { f.attendance = newAttendance(c, f.logger) }

// Audience implements group.Audience. It does not wait for other nodes: who is online on
// them is what it was some seconds ago, and nobody when a group is asked about first.
func (f *Feed) Audience(groupID string) int {
	here := len(f.out.Sockets(group.Room(groupID)))
	if f.attendance == nil {
		return here
	}
	return max(here, f.attendance.of(groupID, time.Now()))
}
