package redispresence

import (
	"context"
	"errors"
	"strings"
	"time"
)

// keepLease renews this node's lease until ctx ends. It closes tried after the
// first attempt.
func (s *Store) keepLease(ctx context.Context, tried chan<- struct{}) {
	k := keeper{Store: s}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		err := k.renewOnce(ctx)
		if ctx.Err() == nil {
			s.noteDown(err)
		}
		if first {
			close(tried)
		}
		if err != nil {
			timer.Reset(min(s.timing.Retry, s.timing.Renew))
		} else {
			timer.Reset(s.timing.Renew)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.poke:
		}
	}
}

// noteDown notes why the server cannot be asked (nil: it can), and logs
// changes.
func (s *Store) noteDown(err error) {
	s.mu.Lock()
	before := s.down
	s.down = err
	s.mu.Unlock()
	first := errors.Is(before, errNotJoined)
	switch {
	case err != nil && (before == nil || first):
		s.log.Warn("redispresence: who is present is not known; this is retried", "err", err)
	case err == nil && before != nil && !first:
		s.log.Info("redispresence: who is present is known again")
	}
}

// keeper is the state of the goroutine that renews the lease.
type keeper struct {
	*Store
	peers     []string // live nodes, as of the last renewal
	failed    bool     // the last renewal failed
	announced time.Time
	mended    map[string]string // groups that were mended, and when; as of the last renewal
}

// renewOnce renews the lease and schedules what is to be done.
func (k *keeper) renewOnce(ctx context.Context) error {
	self, began := k.identity(), time.Now()
	mended := k.takeMended()
	r, err := k.renew(ctx, self, "", mended, k.peers)
	if err != nil {
		k.failed = true
		return err
	}
	if r.broken {
		k.noteBroken(k.keys.nodes(), "")
	}
	// Enter again what the server may have lost.
	forgot := k.forgetMended(r.mended)
	due := forgot || k.failed || k.doubted() || time.Since(k.announced) > announceEvery
	switch r.status {
	case "new":
		k.become(identity{self.id, self.before, r.epoch}, began)
		due = true
	case "out":
		if r, err = k.rejoin(ctx, self); err != nil {
			return err
		}
		due = true
	default:
		k.toldMended(mended)
		k.become(self, began)
		k.forgetEnded(began)
	}
	k.peers, k.failed = r.live, false
	if due {
		k.announced = time.Now()
	}
	k.schedule(due, due && r.status == "ok", r.dead)
	return nil
}

// forgetMended makes this node enter again what it knows of groups that were mended
// since the last renewal. It reports whether there are any.
func (k *keeper) forgetMended(mended []string) (found bool) {
	now := make(map[string]string, len(mended))
	for _, m := range mended {
		at, groupID, _ := strings.Cut(m, " ")
		now[groupID] = at
		if k.mended[groupID] != at {
			k.forget(groupID)
			found = true
		}
	}
	k.mended = now
	return found
}

// doubted reports whether a call has failed since the last announcement. It
// waits for a lease between announcements, to spare a slow server.
func (k *keeper) doubted() bool {
	if time.Since(k.announced) < k.timing.Lease {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	doubt := k.doubt
	k.doubt = false
	return doubt
}

// rejoin gives this node a new id, after the other nodes considered it dead.
// What it entered under the old id is swept.
func (k *keeper) rejoin(ctx context.Context, self identity) (renewal, error) {
	k.log.WarnContext(ctx, "redispresence: the other nodes considered this one dead; its users are entered again")
	if err := k.take(ctx); err != nil { // nothing is written under the old id from now on
		return renewal{}, err
	}
	defer k.give()
	began := time.Now()
	next := identity{id: k.newID(), before: self.before + " " + self.id}
	r, err := k.renew(ctx, next, self.id, nil, nil)
	if err == nil {
		k.expelled()
		k.become(identity{next.id, next.before, r.epoch}, began)
	}
	return r, err
}

func (s *Store) identity() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self
}

// become sets this node's identity, and when the renewal began that confirmed
// it.
func (s *Store) become(self identity, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = began
	if s.self.id != self.id || s.self.epoch != self.epoch {
		s.self = self
	}
}
