package redisadapter

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// direction is one of the things that must work: publishing and subscribing,
// in each shard.
type direction int

// Why an adapter cannot be used without anything being wrong.
var (
	errNotStarted = errors.New("redisadapter: not started")
	errConnecting = errors.New("redisadapter: not connected yet")
	errStopped    = errors.New("redisadapter: stopped")
)

// status knows whether other nodes can be reached, and logs once when that
// ends and once when it is so again.
type status struct {
	log   *slog.Logger
	where string
	aside atomic.Bool // the role moves, and another server is in force

	mu       sync.Mutex
	failures []error   // by direction; nil: that one works
	failed   int       // how many do not
	since    time.Time // since when it is down, if that was logged
}

func newStatus(log *slog.Logger, where string, shards int) *status {
	s := &status{log: log, where: where, failures: make([]error, 2*shards), failed: 2 * shards}
	for i := range s.failures {
		s.failures[i] = errNotStarted
	}
	return s
}

// set notes that a direction works (nil) or why not.
func (s *status) set(d direction, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.failures[d]; (before == nil) != (err == nil) {
		if err == nil {
			s.failed--
		} else {
			s.failed++
		}
	}
	s.failures[d] = err
	switch {
	case err != nil && s.since.IsZero() && !errors.Is(err, errConnecting) && !errors.Is(err, errStopped):
		s.since = time.Now()
		if s.aside.Load() {
			s.log.Warn("redisadapter: the other server of the move does not answer; the one in force serves", "server", s.where, "err", err)
			return
		}
		s.log.Warn("redisadapter: other nodes cannot be reached; this one serves its own sockets", "server", s.where, "err", err)
	case s.failed == 0 && !s.since.IsZero():
		s.log.Info("redisadapter: other nodes can be reached again", "server", s.where, "after", time.Since(s.since).Round(time.Millisecond))
		s.since = time.Time{}
	}
}

// any returns why some direction does not work, or nil.
func (s *status) any() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// of returns the status of one direction.
func (s *status) of(d direction) oneStatus { return oneStatus{s, d} }

// oneStatus is a direction's own.
type oneStatus struct {
	all *status
	d   direction
}

func (o oneStatus) set(err error) { o.all.set(o.d, err) }

// failure returns why the direction does not work, or nil.
func (o oneStatus) failure() error {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	return o.all.failures[o.d]
}

// isReply reports whether err is an answer of the server: then the link works.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// redisError gives an error of the client this package's name. No redis error
// crosses the seam unlabelled.
func redisError(doing string, err error) error { return fmt.Errorf("redisadapter: %s: %w", doing, err) }
