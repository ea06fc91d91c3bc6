package redisadapter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

// lead is by how much a new way is behind at its beginning, so that what went
// over the other one alone is there before what comes over both.
const lead = 100 * time.Millisecond

// Route says which servers a node uses while the role moves from one to
// another. Nodes whose routes are one step of a move apart miss nothing of each
// other, and deliver nothing twice.
type Route struct {
	Main *redisrole.Clients // the one in force: it is published to, and says how the adapter is
	Also *redisrole.Clients // subscribed to as well; nil: none
	Both bool               // Also is published to as well

	// Check makes [Adapter.Take] fail unless all servers can be used, with
	// [ErrBehind] where that is only a matter of time.
	Check bool
}

// way is where envelopes are published.
type way struct {
	main *link // the one in force
	also *link // nil: none
}

// Take makes the adapter use other servers, and returns when it does so: what
// is published from then on goes there, and all rooms that are wanted are
// subscribed to there. After an error the route is the one before, or partly
// the new one; it may be called again. The clients stay the caller's, and open
// until the adapter is stopped. The servers of its calls are not more than two
// at a time.
func (a *Adapter) Take(ctx context.Context, r Route) error {
	a.entering.Lock()
	defer a.entering.Unlock()
	before := a.way.Load()
	if err := a.drop(ctx, before.main.clients, r.Main, r.Also); err != nil {
		return err
	}
	main, err := a.open(r.Main, true)
	if err != nil {
		return err
	}
	next := &way{main: main}
	if r.Also != nil {
		also, err := a.open(r.Also, false)
		if err != nil {
			return err
		}
		if r.Both {
			next.also = also
		}
	}
	if r.Check {
		if err := a.check(ctx, before.main); err != nil {
			return err
		}
	}
	a.turn(before, next)
	if r.Check && main != before.main { // what became wanted meanwhile waited for the other one
		if err := a.check(ctx, before.main); err != nil {
			return err
		}
	}
	return a.drop(ctx, r.Main, r.Also)
}

// open returns the link over a server.
func (a *Adapter) open(clients *redisrole.Clients, main bool) (*link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, errStopped
	}
	for _, l := range a.links {
		if l.clients == clients {
			return l, nil
		}
	}
	l, err := a.newLink(clients)
	if err != nil {
		return nil, err
	}
	l.status.aside.Store(!main)
	if a.cancel != nil {
		for _, s := range l.shards {
			s.missed.Store(main) // who comes late may have missed something
		}
		if err := l.start(); err != nil {
			a.interests.unfollow(l.follower)
			return nil, err
		}
	}
	a.links = append(a.links, l)
	return l, nil
}

// check fails unless the servers other than the one in force can be used.
func (a *Adapter) check(ctx context.Context, main *link) error {
	a.mu.Lock()
	links, started := slices.Clone(a.links), a.cancel != nil
	a.mu.Unlock()
	for _, l := range links {
		switch {
		case l == main:
		case started:
			if err := l.sync(ctx); err != nil {
				return err
			}
		default:
			if err := l.clients.Health(ctx, redisrole.Socket); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn goes from one way to another.
func (a *Adapter) turn(before, next *way) {
	if next.also != nil && next.also != before.also && next.also != before.main {
		for _, s := range next.also.shards {
			s.publisher.after.Store(time.Now().Add(lead).UnixNano())
		}
	}
	a.order.Lock()
	a.way.Store(next)
	a.order.Unlock()
	if next.main == before.main {
		return
	}
	next.main.status.aside.Store(false)
	before.main.status.aside.Store(true)
	a.interests.count(next.main.follower)
	for _, s := range before.main.shards {
		if s.missed.Swap(false) { // nobody would be told when it is back
			a.lost()
			break
		}
	}
}

// drop closes the links over other servers.
func (a *Adapter) drop(ctx context.Context, stay ...*redisrole.Clients) error {
	a.mu.Lock()
	var left []*link
	for _, l := range a.links {
		if !slices.Contains(stay, l.clients) {
			left = append(left, l)
		}
	}
	a.mu.Unlock()
	var errs []error
	for _, l := range left {
		if err := l.close(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		a.interests.unfollow(l.follower)
		a.mu.Lock()
		a.links = slices.DeleteFunc(a.links, func(other *link) bool { return other == l })
		a.mu.Unlock()
	}
	return errors.Join(errs...)
}
