package redispresence

import (
	"context"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// With [Hurry], a node counts as alive for Lease and renews its lease every Renew. On a
// busy machine, a renewal may be more than a second late. If no node has renewed for twice
// as long, no node counts as dead for another Lease.
const (
	Lease = 4 * time.Second
	Renew = time.Second
)

// Hurry makes a store renew, retry and give up much sooner than usual.
func Hurry(s *Store) {
	s.SetTiming(Timing{Lease: Lease, Renew: Renew, Retry: 50 * time.Millisecond, Look: 50 * time.Millisecond})
}

// Kill stops a store like the death of its process: it removes nothing from the server.
func Kill(s *Store) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.tasks.Stop(context.Background())
}

// SweepOnce sweeps a dead node. It returns the nodes that remain to be swept.
func SweepOnce(s *Store, id string) []string {
	_ = s.doOnce(context.Background(), backlog{dead: []string{id}})
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks.Wake(s.wake) // otherwise the worker would retry
	return s.backlog.dead
}

// NodeID returns the id of the node on the server.
func NodeID(s *Store) string { return s.identity().id }

// Announce registers all users of this node. With check, it also removes the node's users
// who are no longer here.
func Announce(ctx context.Context, s *Store, check bool) error { return s.announce(ctx, check) }
