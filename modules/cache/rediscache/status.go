package rediscache

import (
	"log/slog"
	"sync"
	"time"
)

// part is one of the things that must work.
type part int

const (
	calling part = iota // entries are read and written
	hearing             // other nodes' invalidations arrive
	parts
)

// status logs once that the server went and once that it is back, whatever of
// it does not work and however often it is tried.
type status struct {
	log   *slog.Logger
	where string

	mu     sync.Mutex
	failed [parts]error
	since  time.Time // since when something does not work
}

// set notes that a part works (nil) or why not.
func (s *status) set(p part, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[p] = err
	down := s.failed[calling] != nil || s.failed[hearing] != nil
	switch {
	case down && s.since.IsZero():
		s.since = time.Now()
		s.log.Warn("rediscache: the server does not answer; records are read from the database", "server", s.where, "err", err)
	case !down && !s.since.IsZero():
		s.log.Info("rediscache: the server answers again", "server", s.where, "after", time.Since(s.since).Round(time.Millisecond))
		s.since = time.Time{}
	}
}

// failure returns why a part does not work, or nil.
func (s *status) failure(p part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed[p]
}
