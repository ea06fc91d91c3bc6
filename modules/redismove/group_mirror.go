package redismove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

const (
	// mirrorWait is how long a change on this node waits for the second server.
	mirrorWait = 250 * time.Millisecond
	// mirrorRetry is how long a mirror waits after a failure.
	mirrorRetry = 250 * time.Millisecond
)

var errPending = errors.New("changes are still to be written to the second server")

// mirror writes this node's changes to the second server, in order. It retries failed
// writes.
type mirror struct {
	groupServer

	late  func(transitions map[member]group.PresenceChange) // gets the transitions for which no call waited
	tasks *tasks.Group
	wake  chan struct{}

	mu      sync.Mutex
	next    *mirrorBatch // changes that are not written yet
	states  map[member]liveState
	writing bool
	err     error // error of the last attempt

	// Used while GroupPart.entering is held.
	copying <-chan error // result of the running copy; nil if there is none
	copied  bool         // a copy succeeded
}

// mirrorBatch holds the latest change of each member.
type mirrorBatch struct {
	changes     map[member]presence.Attendance
	abandoned   bool                            // no call waits for it
	transitions map[member]group.PresenceChange // set before done is closed
	done        chan struct{}                   // closed after the first attempt
}

type liveState struct {
	state json.RawMessage
	at    time.Time
}

func newMirror(s groupServer, late func(map[member]group.PresenceChange)) *mirror {
	return &mirror{
		groupServer: s,
		late:        late,
		tasks:       tasks.New(),
		wake:        make(chan struct{}, 1),
		next:        newMirrorBatch(),
		states:      make(map[member]liveState),
	}
}

func newMirrorBatch() *mirrorBatch {
	return &mirrorBatch{changes: make(map[member]presence.Attendance), abandoned: true, done: make(chan struct{})}
}

func (m *mirror) start() { m.tasks.Run(m.run) }

// add adds changes, and returns the batch with which they are written.
func (m *mirror) add(changes []presence.Attendance) *mirrorBatch {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next.abandoned = false
	for _, c := range changes {
		m.next.changes[member{c.GroupID, c.UserID}] = c
	}
	tasks.Wake(m.wake)
	return m.next
}

func (m *mirror) addState(of member, state json.RawMessage, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.states[of].at.After(at) {
		m.states[of] = liveState{state, at}
		tasks.Wake(m.wake)
	}
}

// wait returns the transitions of a batch, if it is written within mirrorWait.
func (m *mirror) wait(ctx context.Context, b *mirrorBatch) map[member]group.PresenceChange {
	m.mu.Lock()
	failing := m.err != nil
	m.mu.Unlock()
	if !failing {
		timer := time.NewTimer(mirrorWait)
		defer timer.Stop()
		select {
		case <-b.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b.abandoned = true
	return b.transitions
}

// pending returns nil if everything is written. Otherwise it returns the error of the last
// attempt, or errPending.
func (m *mirror) pending() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.next.changes) == 0 && len(m.states) == 0 && !m.writing {
		return nil
	}
	if m.err != nil {
		return fmt.Errorf("%w: %w", errPending, m.err)
	}
	return errPending
}

func (m *mirror) run(ctx context.Context) {
	tasks.Retry(ctx, mirrorRetry, m.wake, func() error {
		err := m.write(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.writing, m.err = false, err
		return err
	})
}

// write writes pending changes, attendances first. Failed ones stay pending.
func (m *mirror) write(ctx context.Context) error {
	m.mu.Lock()
	b, states := m.next, m.states
	m.next, m.states, m.writing = newMirrorBatch(), make(map[member]liveState), true
	m.mu.Unlock()
	err := m.writeBatch(ctx, b)
	for of, s := range states {
		if err == nil {
			err = m.store.SetStateAt(ctx, of.groupID, of.userID, s.state, s.at)
		}
		if err != nil {
			m.mu.Lock()
			if m.states[of].at.Before(s.at) {
				m.states[of] = s
			}
			m.mu.Unlock()
		}
	}
	return err
}

func (m *mirror) writeBatch(ctx context.Context, b *mirrorBatch) error {
	defer close(b.done)
	changes := make([]presence.Attendance, 0, len(b.changes))
	for _, c := range b.changes {
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return nil
	}
	// It ends, even if this mirror is left meanwhile: the server may answer a transition, and
	// nobody else is told of it.
	told, err := m.store.Apply(context.WithoutCancel(ctx), changes)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		for of, c := range b.changes {
			if _, changed := m.next.changes[of]; !changed {
				m.next.changes[of] = c
			}
		}
		return err
	}
	b.transitions = make(map[member]group.PresenceChange)
	for i, t := range told {
		if t.Status != "" {
			b.transitions[member{changes[i].GroupID, changes[i].UserID}] = t
		}
	}
	if b.abandoned {
		m.late(b.transitions)
	}
	return nil
}
