package redisadapter

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Errors while an adapter cannot be used although nothing failed.
var (
	errNotStarted = errors.New("redisadapter: not started")
	errConnecting = errors.New("redisadapter: not connected yet")
	errStopped    = errors.New("redisadapter: stopped")
)

// status records whether the server carries envelopes. It logs when this changes.
type status struct {
	log   *slog.Logger
	where string

	mu         sync.Mutex
	directions []*direction
	since      time.Time // when the logged outage began
}

// direction is either publishing or subscribing, in one shard.
type direction struct {
	status *status
	err    error // why it does not work; nil if it does; guarded by status.mu
}

func (s *status) add() *direction {
	d := &direction{status: s, err: errNotStarted}
	s.directions = append(s.directions, d)
	return d
}

// set records that the direction works (nil), or why it does not.
func (d *direction) set(err error) {
	s := d.status
	s.mu.Lock()
	defer s.mu.Unlock()
	d.err = err
	switch {
	case err != nil && s.since.IsZero() && !errors.Is(err, errConnecting) && !errors.Is(err, errStopped):
		s.since = time.Now()
		s.log.Warn("redisadapter: other nodes cannot be reached over this server", "server", s.where, "err", err)
	case !s.since.IsZero() && s.anyLocked() == nil:
		s.log.Info("redisadapter: other nodes can be reached again over this server", "server", s.where, "after", time.Since(s.since).Round(time.Millisecond))
		s.since = time.Time{}
	}
}

// any returns the error of a direction that does not work, or nil.
func (s *status) any() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.anyLocked()
}

func (s *status) anyLocked() error {
	for _, d := range s.directions {
		if d.err != nil {
			return d.err
		}
	}
	return nil
}

// failure returns the direction's error, or nil.
func (d *direction) failure() error {
	d.status.mu.Lock()
	defer d.status.mu.Unlock()
	return d.err
}

// isReply reports whether err is a reply of the server. Then the connection works.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// redisError wraps an error of the client.
func redisError(doing string, err error) error { return fmt.Errorf("redisadapter: %s: %w", doing, err) }
