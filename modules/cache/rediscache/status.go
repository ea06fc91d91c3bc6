package rediscache

import (
	"log/slog"
	"sync"
	"time"
)

// part is a part of the tier that can fail separately.
type part int

const (
	commands     part = iota // reading and writing entries
	subscription             // receiving invalidations
	parts
)

// status logs when the server stops answering, and when it answers again: once each,
// whichever parts fail and however often.
type status struct {
	log   *slog.Logger
	where string

	mu     sync.Mutex
	failed [parts]error
	since  time.Time // of the failure; zero if both parts work
}

// set notes the error of a part, or nil if it works.
func (s *status) set(p part, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[p] = err
	down := s.failed[commands] != nil || s.failed[subscription] != nil
	switch {
	case down && s.since.IsZero():
		s.since = time.Now()
		s.log.Warn("rediscache: the server does not answer; records are read from the database", "server", s.where, "err", err)
	case !down && !s.since.IsZero():
		s.log.Info("rediscache: the server answers again", "server", s.where, "after", time.Since(s.since).Round(time.Millisecond))
		s.since = time.Time{}
	}
}

// failure returns the error of a part, or nil if it works.
func (s *status) failure(p part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed[p]
}
