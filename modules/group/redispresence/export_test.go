package redispresence

import "time"

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
