package group

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
)

// Scheduler fires the timers of groups. Every node has one; the database's row
// lock lets one of them fire each timer. A timer that fails is tried again,
// after a wait that the store keeps. One that hangs takes a slot and no other
// timer's time.
type Scheduler struct {
	service *Service
	clock   Clock
	log     *slog.Logger
	tasks   *tasks.Group
	slots   chan struct{} // one for each timer that is being fired

	mu     sync.Mutex
	firing map[string]bool // by group
}

// NewScheduler returns a scheduler of the groups in clock.
func NewScheduler(service *Service, clock Clock, log *slog.Logger) *Scheduler {
	return &Scheduler{
		service: service,
		clock:   clock,
		log:     log,
		tasks:   tasks.New(),
		slots:   make(chan struct{}, timersAtOnce),
		firing:  make(map[string]bool),
	}
}

// Start begins to look, twice a second.
func (s *Scheduler) Start(context.Context) error {
	s.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, timerEvery, nil, func() { s.look(ctx) })
	})
	return nil
}

// Stop ends it.
func (s *Scheduler) Stop(ctx context.Context) error { return s.tasks.Stop(ctx) }

// look fires whatever is due, also what becomes due by that: several reminders
// that were missed.
func (s *Scheduler) look(ctx context.Context) {
	for ctx.Err() == nil {
		due, err := s.clock.Due(ctx, timerBatch)
		if err != nil {
			s.log.Debug("group: the due timers cannot be read", "err", err)
			return
		}
		if !s.fireAll(ctx, due) {
			return
		}
	}
}

// fireAll fires timers and waits for them, but not for those that hang. It
// reports whether there may be more to do: whether one was fired or postponed.
func (s *Scheduler) fireAll(ctx context.Context, due []string) bool {
	done := make(chan bool, len(due))
	started := 0
	for _, groupID := range due {
		if s.start(ctx, groupID, done) {
			started++
		}
	}
	enough := time.NewTimer(timerEvery)
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

// start fires a timer in a goroutine that writes to done, unless it is being
// fired already.
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

// fire fires a group's timer, or postpones it when that fails. It reports
// whether it did either.
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
		level = slog.LevelDebug // the database is down, which is told elsewhere
	}
	s.log.Log(ctx, level, "group: a timer failed", "group", groupID, "err", err)
	if err := s.clock.Postpone(ctx, groupID); err != nil {
		s.log.Debug("group: a failed timer cannot be postponed", "group", groupID, "err", err)
		return false
	}
	return true
}
