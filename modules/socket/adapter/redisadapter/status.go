package redisadapter

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// direction is one of the two things that must work.
type direction int

const (
	publishing direction = iota
	subscribing
)

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

	mu       sync.Mutex
	failures [2]error  // nil: that direction works
	since    time.Time // since when it is down, if that was logged
}

// set notes that a direction works (nil) or why not.
func (s *status) set(d direction, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[d] = err
	failed := s.failures[publishing] != nil || s.failures[subscribing] != nil
	switch {
	case err != nil && s.since.IsZero() && !errors.Is(err, errConnecting) && !errors.Is(err, errStopped):
		s.since = time.Now()
		s.log.Warn("redisadapter: other nodes cannot be reached; this one serves its own sockets", "server", s.where, "err", err)
	case !failed && !s.since.IsZero():
		s.log.Info("redisadapter: other nodes can be reached again", "server", s.where, "after", time.Since(s.since).Round(time.Millisecond))
		s.since = time.Time{}
	}
}

// failure returns why a direction does not work, or nil.
func (s *status) failure(d direction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures[d]
}

// isReply reports whether err is an answer of the server: then the link works.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// redisError gives an error of the client this package's name. No redis error
// crosses the seam unlabelled.
func redisError(doing string, err error) error { return fmt.Errorf("redisadapter: %s: %w", doing, err) }
