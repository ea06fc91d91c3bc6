package redispresence

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
)

// follower writes to a second server what changes on this node: behind the
// first one, but in the same order, and again until it is stored.
type follower struct {
	at    *redisrole.Clients
	store *Store
	late  func(told map[attendee]group.PresenceChange) // what nobody waited for

	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	next   *batchOf // what is still to be written
	states map[attendee]stateAt
	busy   bool          // something is being written
	idle   chan struct{} // closed while there is nothing
	err    error         // of the last attempt

	copying chan error // says how it went; nil: nothing is being copied; used under Bridge.entering
	copied  bool       // what only the first server knew
}

// batchOf is the latest of what changed, until it is written.
type batchOf struct {
	changes map[attendee]presence.Attendance
	late    bool // nobody waits for it
	told    map[attendee]group.PresenceChange
	done    chan struct{} // closed once it was tried
}

type stateAt struct {
	state json.RawMessage
	at    time.Time
}

func newFollower(p served, late func(map[attendee]group.PresenceChange)) *follower {
	f := &follower{
		at:     p.at,
		store:  p.store,
		late:   late,
		wake:   make(chan struct{}, 1),
		states: make(map[attendee]stateAt),
		idle:   make(chan struct{}),
	}
	close(f.idle)
	return f
}

func (f *follower) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.done.Go(func() { f.run(ctx) })
}

// stop ends it; what is not written is not.
func (f *follower) stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

// add takes changes.
func (f *follower) add(changes []presence.Attendance) *batchOf {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beginLocked()
	if f.next == nil {
		f.next = newBatchOf()
	}
	f.next.late = false
	for _, c := range changes {
		f.next.changes[attendee{c.GroupID, c.UserID}] = c
	}
	return f.next
}

func newBatchOf() *batchOf {
	return &batchOf{changes: make(map[attendee]presence.Attendance), done: make(chan struct{})}
}

func (f *follower) addState(of attendee, state json.RawMessage, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.states[of].at.After(at) {
		return
	}
	f.beginLocked()
	f.states[of] = stateAt{state, at}
}

func (f *follower) beginLocked() {
	select {
	case <-f.idle:
		f.idle = make(chan struct{})
	default:
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// wait returns what there is to tell of a batch, once it is stored and if that
// is soon.
func (f *follower) wait(ctx context.Context, b *batchOf) map[attendee]group.PresenceChange {
	f.mu.Lock()
	failing := f.err != nil
	f.mu.Unlock()
	if !failing {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-b.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.late = true
	return b.told
}

// entered waits until the server knows all users of this node.
func (f *follower) entered(ctx context.Context) error {
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	tick := time.NewTicker(catchUp / 20)
	defer tick.Stop()
	for {
		err := f.store.ready(ctx)
		if !errors.Is(err, errEntering) {
			return err
		}
		select {
		case <-limit.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// drained waits until nothing is owed.
func (f *follower) drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	f.mu.Lock()
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.err != nil {
			return f.err
		}
		return ctx.Err()
	}
}

func (f *follower) owesNothing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next == nil && len(f.states) == 0 && !f.busy
}

func (f *follower) run(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-retry.C:
		}
		err := f.write(ctx)
		f.mu.Lock()
		f.busy, f.err = false, err
		if err == nil && f.next == nil && len(f.states) == 0 {
			select {
			case <-f.idle:
			default:
				close(f.idle)
			}
		}
		f.mu.Unlock()
		if err != nil {
			retry.Reset(f.store.timing.retry)
		}
	}
}

// write stores what is owed, first who is here. What fails is owed still.
func (f *follower) write(ctx context.Context) error {
	f.mu.Lock()
	b, states := f.next, f.states
	f.next, f.states, f.busy = nil, make(map[attendee]stateAt), true
	f.mu.Unlock()
	err := f.writeBatch(ctx, b)
	for of, s := range states {
		if err == nil {
			err = f.store.putState(ctx, of.groupID, of.userID, s.state, s.at)
		}
		if err != nil {
			f.mu.Lock()
			if f.states[of].at.Before(s.at) {
				f.states[of] = s
			}
			f.mu.Unlock()
		}
	}
	return err
}

func (f *follower) writeBatch(ctx context.Context, b *batchOf) error {
	if b == nil {
		return nil
	}
	changes := make([]presence.Attendance, 0, len(b.changes))
	for _, c := range b.changes {
		changes = append(changes, c)
	}
	told, err := f.store.Apply(ctx, changes)
	f.mu.Lock()
	late := b.late
	if err != nil {
		f.oweLocked(b)
	} else {
		b.told = make(map[attendee]group.PresenceChange)
		for i, t := range told {
			if t.Status != "" {
				b.told[attendee{changes[i].GroupID, changes[i].UserID}] = t
			}
		}
	}
	close(b.done)
	f.mu.Unlock()
	if err == nil && late {
		f.late(b.told)
	}
	return err
}

// oweLocked keeps what was not stored, unless it has changed since.
func (f *follower) oweLocked(b *batchOf) {
	if f.next == nil {
		f.next = newBatchOf()
		f.next.late = true
	}
	for of, c := range b.changes {
		if _, changed := f.next.changes[of]; !changed {
			f.next.changes[of] = c
		}
	}
}

// putState stores a live state that was set on another server.
func (s *Store) putState(ctx context.Context, groupID, userID string, state json.RawMessage, at time.Time) error {
	return s.ask(ctx, func(ctx context.Context, _ string) error {
		_, err := s.setState(ctx, groupID, userID, state, at)
		return err
	})
}
