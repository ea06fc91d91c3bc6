package redispresence

import (
	"context"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// A node of [Hurry] counts as alive for Lease, and renews that every Renew. A busy machine
// may be late by more than a second: when no node has renewed for twice as long, nobody is
// taken for dead for another Lease.
const (
	Lease = 4 * time.Second
	Renew = time.Second
)

// Hurry makes a store renew, retry and give up in a fraction of the usual time.
func Hurry(s *Store) {
	s.SetTiming(Timing{Lease: Lease, Renew: Renew, Retry: 50 * time.Millisecond, Look: 50 * time.Millisecond})
}

// Kill ends a store as the death of its process would: nothing is given up.
func Kill(s *Store) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.tasks.Stop(context.Background())
}

// SweepOnce sweeps a dead node, and returns the nodes that remain to be swept.
func SweepOnce(s *Store, id string) []string {
	_ = s.doOnce(context.Background(), backlog{dead: []string{id}})
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks.Wake(s.wake) // the worker would have retried
	return s.backlog.dead
}

// NodeID returns by what id the server knows the node.
func NodeID(s *Store) string { return s.identity().id }

// Announce enters all users of this node, and with check removes those who are not here.
func Announce(ctx context.Context, s *Store, check bool) error { return s.announce(ctx, check) }
