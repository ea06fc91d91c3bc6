package redispresence

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

// Lease is for how long a node of [Hurry] counts as alive.
const Lease = 1500 * time.Millisecond

// Hurry makes a store renew, retry and give up in a fraction of the usual time.
func Hurry(s *Store) {
	s.timing = timing{lease: Lease, renew: 150 * time.Millisecond, retry: 50 * time.Millisecond, look: 50 * time.Millisecond}
}

// Kill ends a store as the death of its process would: nothing is given up.
func Kill(s *Store) {
	s.mu.Lock()
	stop := s.stop
	s.stop, s.stopped = nil, true
	s.mu.Unlock()
	stop()
	s.done.Wait()
}

// HurryBridge hurries the stores of a bridge that is not started.
func HurryBridge(b *Bridge) {
	open := b.open
	b.open = func(c *redisrole.Clients) *Store {
		s := open(c)
		Hurry(s)
		return s
	}
	Hurry(b.asked.store)
}

// KillBridge ends a bridge as the death of its process would.
func KillBridge(b *Bridge) {
	asked, second := b.servers()
	Kill(asked.store)
	if second != nil {
		second.stop()
		Kill(second.store)
	}
	b.mu.Lock()
	b.second, b.stopped = nil, true
	b.mu.Unlock()
	_ = b.tasks.Stop(context.Background())
}
