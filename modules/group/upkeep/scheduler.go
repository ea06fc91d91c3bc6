// Package upkeep does a node's background work on groups: it fires timers, renames and
// erases users, and removes old data. [Module] runs all of it. Every node does this work;
// the database gives each piece of it to one of them.
package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	lookEvery    = 500 * time.Millisecond // so that timers fire within a second
	timersAtOnce = 16                     // fired at the same time
	timerBatch   = 100                    // read at the same time
)

// MaxPostponed is the longest wait between two attempts to fire a timer.
const MaxPostponed = 64 * time.Second

// Clock knows which timers are due. sqlstore.Store implements it.
type Clock interface {
	// Due returns groups whose timer is due and not postponed, those due for the longest
	// time first.
	Due(ctx context.Context, limit int) ([]string, error)

	// Postpone delays a timer that failed: by a second after its first failure, and then by
	// twice as long after each further one, up to [MaxPostponed]. All nodes respect this.
	// Simultaneous failures on several nodes count as one. [group.Tx.Schedule] ends the
	// delay. If no timer is due, Postpone does nothing.
	Postpone(ctx context.Context, groupID string) error
}

// Scheduler fires the timers of groups. A timer that fails is tried again after the delay
// that [Clock] keeps. A timer that hangs takes one of 16 slots, and does not delay others.
type Scheduler struct {
	service *group.Service
	clock   Clock
	log     *slog.Logger
	tasks   *tasks.Group
	slots   chan struct{} // one value for each timer that is being fired

	mu     sync.Mutex
	firing map[string]bool // by group id
}

// NewScheduler returns a scheduler of the groups in clock.
func NewScheduler(service *group.Service, clock Clock, log *slog.Logger) *Scheduler {
	return &Scheduler{
		service: service,
		clock:   clock,
		log:     log,
		tasks:   tasks.New(),
		slots:   make(chan struct{}, timersAtOnce),
		firing:  make(map[string]bool),
	}
}

// Start looks for due timers twice a second.
func (s *Scheduler) Start(context.Context) error {
	s.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, lookEvery, nil, func() { s.look(ctx) })
	})
	return nil
}

// Stop stops it, and waits for timers that are being fired.
func (s *Scheduler) Stop(ctx context.Context) error { return s.tasks.Stop(ctx) }

// look fires all due timers. A fired timer may be due again at once if the group missed
// several reminders.
func (s *Scheduler) look(ctx context.Context) {
	for ctx.Err() == nil {
		due, err := s.clock.Due(ctx, timerBatch)
		if err != nil {
			s.log.DebugContext(ctx, "group: cannot read the due timers", "err", err)
			return
		}
		if !s.fireAll(ctx, due) {
			return
		}
	}
}

// fireAll fires timers and waits for them for at most half a second. It reports whether a
// timer was fired or postponed, so that more may be due.
func (s *Scheduler) fireAll(ctx context.Context, due []string) bool {
	done := make(chan bool, len(due))
	started := 0
	for _, groupID := range due {
		if s.start(ctx, groupID, done) {
			started++
		}
	}
	enough := time.NewTimer(lookEvery)
	defer enough.Stop()
	more := false
	for range started {
		select {
		case ok := <-done:
			more = more || ok
		case <-enough.C:
			return more
		case <-ctx.Done():
			return false
		}
	}
	return more
}

// start fires a timer in a goroutine, which writes to done. It returns false if the timer
// is being fired already.
func (s *Scheduler) start(ctx context.Context, groupID string, done chan<- bool) bool {
	s.mu.Lock()
	already := s.firing[groupID]
	s.firing[groupID] = true
	s.mu.Unlock()
	if already {
		return false
	}
	started := false
	select {
	case s.slots <- struct{}{}:
		started = s.tasks.Run(func(ctx context.Context) {
			ok := s.fire(ctx, groupID)
			s.finish(groupID)
			<-s.slots
			done <- ok
		})
	case <-ctx.Done():
	}
	if !started {
		s.finish(groupID)
	}
	return started
}

func (s *Scheduler) finish(groupID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.firing, groupID)
}

// fire fires a group's timer, or postpones it after a failure. It returns true if either
// succeeded.
func (s *Scheduler) fire(ctx context.Context, groupID string) bool {
	err := s.service.FireTimer(ctx, groupID)
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	level := slog.LevelWarn
	if errors.Is(err, fault.ErrUnavailable) {
		level = slog.LevelDebug // the database logs its own outage
	}
	s.log.Log(ctx, level, "group: a timer failed", "group", groupID, "err", err)
	if err := s.clock.Postpone(ctx, groupID); err != nil {
		s.log.DebugContext(ctx, "group: cannot postpone a failed timer", "group", groupID, "err", err)
		return false
	}
	return true
}
