package redisadapter

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Reasons why an adapter cannot be used although nothing failed.
var (
	errNotStarted = errors.New("redisadapter: not started")
	errConnecting = errors.New("redisadapter: not connected yet")
	errStopped    = errors.New("redisadapter: stopped")
)

// status knows whether the server carries envelopes. It logs when that ends
// and when it is so again.
type status struct {
	log   *slog.Logger
	where string

	mu         sync.Mutex
	directions []*direction
	since      time.Time // when it went down, if that was logged
}

// direction is publishing or subscribing, in one shard.
type direction struct {
	status *status
	err    error // why it does not work, under status.mu; nil: it works
}

func (s *status) add() *direction {
	d := &direction{status: s, err: errNotStarted}
	s.directions = append(s.directions, d)
	return d
}

// set notes that the direction works (nil) or why not.
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

// any returns why some direction does not work, or nil.
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

// failure returns why the direction does not work, or nil.
func (d *direction) failure() error {
	d.status.mu.Lock()
	defer d.status.mu.Unlock()
	return d.err
}

// isReply reports whether err is an answer of the server, so that the
// connection works.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// redisError adds this package's name to an error of the client.
func redisError(doing string, err error) error { return fmt.Errorf("redisadapter: %s: %w", doing, err) }
