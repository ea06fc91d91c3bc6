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

// noteDown records why the server cannot be used, or nil if it can. It logs when this
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
	peers     []string // live nodes at the last renewal
	failed    bool     // the last renewal failed
	announced time.Time
	repaired  map[string]string // repaired groups at the last renewal, and the time of each repair
}

// renewOnce renews the lease and adds what follows from the reply to the backlog.
func (k *keeper) renewOnce(ctx context.Context) error {
	self, began := k.identity(), time.Now()
	repaired := k.repairedGroups()
	r, err := k.renew(ctx, self, "", repaired, k.peers)
	if err != nil {
		k.failed = true
		return err
	}
	if r.broken {
		k.noteBroken(k.keys.nodes(), "")
	}
	// Register again what the server may have lost.
	forgot := k.forgetRepaired(r.repaired)
	due := forgot || k.failed || k.suspected() || time.Since(k.announced) > announceEvery
	switch r.status {
	case "new":
		k.setIdentity(identity{self.id, self.before, r.epoch}, began)
		due = true
	case "out":
		if r, err = k.rejoin(ctx, self); err != nil {
			return err
		}
		due = true
	default:
		k.dropRepaired(repaired)
		k.setIdentity(self, began)
		k.forgetEnded(began)
	}
	k.peers, k.failed = r.live, false
	if due {
		k.announced = time.Now()
	}
	k.schedule(due, due && r.status == "ok", r.dead)
	return nil
}

// forgetRepaired makes this node register its users again in groups that were repaired
// since the last renewal. It reports whether there are any.
func (k *keeper) forgetRepaired(repaired []string) (found bool) {
	now := make(map[string]string, len(repaired))
	for _, m := range repaired {
		at, groupID, _ := strings.Cut(m, " ")
		now[groupID] = at
		if k.repaired[groupID] != at {
			k.forget(groupID)
			found = true
		}
	}
	k.repaired = now
	return found
}

// suspected reports whether a call has failed since the last announcement. It returns true
// at most once per lease, to spare a slow server.
func (k *keeper) suspected() bool {
	if time.Since(k.announced) < k.timing.Lease {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	suspect := k.suspect
	k.suspect = false
	return suspect
}

// rejoin gives this node a new id after the other nodes considered it dead. They sweep the
// users of the old id.
func (k *keeper) rejoin(ctx context.Context, self identity) (renewal, error) {
	k.log.WarnContext(ctx, "redispresence: the other nodes considered this one dead; it registers its users again")
	if err := k.take(ctx); err != nil { // after this, nothing is written under the old id
		return renewal{}, err
	}
	defer k.give()
	began := time.Now()
	next := identity{id: k.newID(), before: self.before + " " + self.id}
	r, err := k.renew(ctx, next, self.id, nil, nil)
	if err == nil {
		k.forgetLostGraces()
		k.setIdentity(identity{next.id, next.before, r.epoch}, began)
	}
	return r, err
}

func (s *Store) identity() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self
}

// setIdentity sets this node's identity, and the time when the renewal that confirmed it
// began.
func (s *Store) setIdentity(self identity, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = began
	if s.self.id != self.id || s.self.epoch != self.epoch {
		s.self = self
	}
}
