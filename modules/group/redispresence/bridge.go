package redispresence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	patience  = 250 * time.Millisecond // for the second server, while somebody waits
	catchUp   = time.Second            // for it to have everything, before it is asked
	closeTime = 3 * time.Second        // for leaving a server
)

// ErrNotYet says that a [Bridge] is on its way: call Lead again.
var ErrNotYet = errors.New("not yet")

// Bridge is a node's presence while it may move from one server to another: one
// is asked, a second may be written as well. The second never holds up or fails
// what the first takes; it is told later.
//
// What happens on a server by itself (graces end, dead nodes are swept) one
// node hears. From the server that is asked it is passed on. From the second it
// is passed on if the other one agrees: while nodes ask different servers, the
// later of two equal transitions is heard when both agree, so that none is lost.
type Bridge struct {
	log   *slog.Logger
	open  func(*redisrole.Clients) *Store
	tasks *tasks.Group
	said  *hearsay

	entering sync.Mutex    // held by Lead, Start and Stop
	turn     chan struct{} // full while changes are applied, or who is written changes

	mu      sync.RWMutex // a follower's is taken under it
	asked   served
	second  *follower // nil: none
	started bool
	stopped bool
	grace   time.Duration
	tell    func(groupID string, changes []group.PresenceChange)
}

// served is a store and its server.
type served struct {
	at    *redisrole.Clients
	store *Store
}

var _ presence.Store = (*Bridge)(nil)

// NewBridge returns the presence on the group role's client. It does no I/O.
func NewBridge(clients *redisrole.Clients, log *slog.Logger) *Bridge {
	b := &Bridge{log: log, tasks: tasks.New(), turn: make(chan struct{}, 1)}
	b.open = func(c *redisrole.Clients) *Store { return New(c, log) }
	b.said = newHearsay(b)
	b.asked = served{clients, b.open(clients)}
	return b
}

// Start implements [presence.Store].
func (b *Bridge) Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error {
	b.entering.Lock()
	defer b.entering.Unlock()
	b.mu.Lock()
	if b.started || b.stopped {
		b.mu.Unlock()
		return errStopped
	}
	b.started, b.grace, b.tell = true, grace, tell
	asked, second := b.asked, b.second
	b.mu.Unlock()
	b.tasks.Run(b.said.run)
	if second != nil {
		second.start()
		b.tasks.Run(func(ctx context.Context) { b.startStore(ctx, second.store) })
	}
	return asked.store.Start(ctx, grace, b.hear(asked.store))
}

func (b *Bridge) startStore(ctx context.Context, s *Store) {
	if err := s.Start(ctx, b.grace, b.hear(s)); err != nil && !errors.Is(err, errStopped) && ctx.Err() == nil {
		b.log.Warn("redispresence: the second server is not used", "err", err)
	}
}

// Stop implements [presence.Store].
func (b *Bridge) Stop(ctx context.Context) error {
	b.entering.Lock()
	defer b.entering.Unlock()
	b.mu.Lock()
	b.stopped = true
	asked, second := b.asked, b.second
	b.mu.Unlock()
	left := make(chan struct{})
	go func() {
		defer close(left)
		if second != nil {
			second.stop()
			if err := second.store.Stop(ctx); err != nil {
				b.log.Debug("redispresence: the second server does not answer", "err", err)
			}
		}
	}()
	err := asked.store.Stop(ctx)
	select {
	case <-left:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, b.tasks.Stop(ctx))
}

// hear takes what a store tells.
func (b *Bridge) hear(s *Store) func(groupID string, changes []group.PresenceChange) {
	return func(groupID string, changes []group.PresenceChange) {
		if asked, _ := b.servers(); asked.store == s {
			b.tell(groupID, changes)
			return
		}
		b.said.add(groupID, changes...)
	}
}

func (b *Bridge) servers() (served, *follower) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.asked, b.second
}

// Apply implements [presence.Store].
func (b *Bridge) Apply(ctx context.Context, changes []presence.Attendance) ([]group.PresenceChange, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.give()
	asked, second := b.servers()
	if second == nil {
		return asked.store.Apply(ctx, changes)
	}
	also := second.add(changes)
	told, err := asked.store.Apply(ctx, changes)
	other := second.wait(ctx, also)
	if len(other) == 0 {
		return told, err
	}
	for i, c := range changes { // what both say is told once
		key := attendee{c.GroupID, c.UserID}
		if err == nil && other[key].Status == told[i].Status {
			delete(other, key)
		}
	}
	b.said.addAll(other)
	return told, err
}

// SetState implements [presence.Store].
func (b *Bridge) SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error) {
	set, _ := b.servers()
	at, err := set.store.SetState(ctx, groupID, userID, state)
	if err != nil {
		return at, err
	}
	b.mu.RLock()
	asked, second := b.asked, b.second
	if second != nil && second.store != set.store {
		second.addState(attendee{groupID, userID}, state, at)
	}
	b.mu.RUnlock()
	if asked.store != set.store { // they changed places meanwhile
		err = asked.store.putState(ctx, groupID, userID, state, at)
	}
	return at, err
}

// List implements [presence.Store].
func (b *Bridge) List(ctx context.Context, groupID string) ([]group.Present, error) {
	asked, _ := b.servers()
	return asked.store.List(ctx, groupID)
}

// Count implements [presence.Store].
func (b *Bridge) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	asked, _ := b.servers()
	return asked.store.Count(ctx, groupIDs)
}

// Health asks the server that is asked for a sign of life.
func (b *Bridge) Health(ctx context.Context) error {
	asked, _ := b.servers()
	return asked.at.Health(ctx, redisrole.Group)
}

func (b *Bridge) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to store who is present: %w", ctx.Err())
	}
}

func (b *Bridge) give() { <-b.turn }
