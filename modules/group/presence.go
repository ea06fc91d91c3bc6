package group

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// Presence tells who of a group's members is there: who has a subscribed
// socket on any node, once however many. It is the feed's [Watcher].
//
// Its methods may be called concurrently and do not block. What changes on
// this node goes to the store, and to the subscribers, by one goroutine, once a
// window: a user who leaves and comes back within it was never away, and any
// number of changes costs one message a group. Large groups in which members
// come and go all the time are told of it less often.
type Presence struct {
	store   PresenceStore
	out     Emitter
	grace   time.Duration
	window  time.Duration
	log     *slog.Logger
	program Translator
	tasks   *tasks.Group
	wake    chan struct{}
	failed  atomic.Int64

	mu      sync.Mutex
	groups  map[string]map[string]*attendee
	dirty   map[attendanceKey]struct{}
	news    presenceNews         // from the store, states, and what is told later
	resting map[string]time.Time // until when large groups are told of states only
	reads   map[string]*presenceRead
}

// attendee is a user with sockets on this node, or one whose end the store has
// not heard of.
type attendee struct {
	sockets int
	stored  bool // the store has him
	unsure  bool // it may know something else of him: it was told, and has not said that all went well
	again   bool // it is to be told once more, also when it says so
	end     ending
}

// settled reports whether the store knows how it is.
func (a *attendee) settled() bool { return !a.unsure && a.stored == (a.sockets > 0) }

type attendanceKey struct{ groupID, userID string }

var _ Watcher = (*Presence)(nil)

// NewPresence returns the presence of this node's sockets, kept in store and
// told through out.
func NewPresence(cfg Config, store PresenceStore, out Emitter, log *slog.Logger) *Presence {
	cfg = cfg.WithDefaults()
	return &Presence{
		store:   store,
		out:     out,
		grace:   cfg.PresenceGrace,
		window:  cfg.PresenceWindow,
		log:     log,
		tasks:   tasks.New(),
		wake:    make(chan struct{}, 1),
		groups:  make(map[string]map[string]*attendee),
		dirty:   make(map[attendanceKey]struct{}),
		news:    make(presenceNews),
		resting: make(map[string]time.Time),
		reads:   make(map[string]*presenceRead),
	}
}

// Translate makes subscribers be told, after group:presence, what t makes of it.
// Call it before Start.
func (p *Presence) Translate(t Translator) { p.program = t.sendingBy(p.out) }

// PresenceStats is how telling the store goes.
type PresenceStats struct {
	Waiting int   // users of whom the store is still to be told
	Failed  int64 // times that it did not take what it was told
}

// Stats returns how telling the store goes.
func (p *Presence) Stats() PresenceStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PresenceStats{Waiting: len(p.dirty), Failed: p.failed.Load()}
}

// Start begins to tell the store and the subscribers.
func (p *Presence) Start(ctx context.Context) error {
	if err := p.store.Start(ctx, p.grace, p.heard); err != nil {
		return err
	}
	p.tasks.Run(p.loop)
	return nil
}

// Stop tells the store of those who went and of those who are still here: they
// are waited for, on another node. It gives up this node's claims.
func (p *Presence) Stop(ctx context.Context) error {
	err := p.tasks.Stop(ctx)
	p.drain()
	p.flush(ctx)
	if stopped := p.store.Stop(ctx); err == nil {
		err = stopped
	}
	return err
}

// drain ends whatever subscriptions are left. What is told then is the last.
func (p *Presence) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.resting)
	for groupID, users := range p.groups {
		for userID, a := range users {
			if a.sockets > 0 {
				a.sockets, a.end = 0, endingOf(endDrained)
				p.checkLocked(attendanceKey{groupID, userID}, a)
			}
		}
	}
}

// Subscribed implements [Watcher].
func (p *Presence) Subscribed(groupID string, s Subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, s.UserID()}
	a := p.attendeeLocked(key)
	a.sockets++
	p.checkLocked(key, a)
}

// Unsubscribed implements [Watcher].
func (p *Presence) Unsubscribed(groupID string, s Subscriber, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, s.UserID()}
	a := p.attendeeLocked(key)
	a.sockets-- // below zero when an end overtakes its beginning
	a.end = endingOf(reason)
	p.checkLocked(key, a)
}

// Ended implements [Watcher]. His sockets are told by the feed; here are those
// who have none and are waited for.
func (p *Presence) Ended(groupID, userID, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	if a.sockets > 0 {
		return
	}
	a.unsure, a.again, a.end = true, true, endingOf(reason)
	p.checkLocked(key, a)
}

func (p *Presence) attendeeLocked(key attendanceKey) *attendee {
	users := p.groups[key.groupID]
	if users == nil {
		users = make(map[string]*attendee)
		p.groups[key.groupID] = users
	}
	a := users[key.userID]
	if a == nil {
		a = &attendee{}
		users[key.userID] = a
	}
	return a
}

// checkLocked notes what there is to tell the store of a user, and forgets him
// when that is nothing and will be nothing.
func (p *Presence) checkLocked(key attendanceKey, a *attendee) {
	if !a.settled() {
		p.dirty[key] = struct{}{}
		p.wakeLocked()
		return
	}
	delete(p.dirty, key)
	if a.sockets != 0 {
		return
	}
	delete(p.groups[key.groupID], key.userID)
	if len(p.groups[key.groupID]) == 0 {
		delete(p.groups, key.groupID)
	}
}

func (p *Presence) wakeLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// List returns who is there, and then who was there lately, by user id. It
// returns fault.ErrUnavailable while that is not known.
func (p *Presence) List(ctx context.Context, groupID string) ([]Present, error) {
	present, err := p.read(ctx, groupID)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(present))
	for i := range present {
		at[present[i].UserID] = i
	}
	p.mu.Lock()
	for userID, a := range p.groups[groupID] { // the store may not have heard of them yet
		if a.sockets <= 0 {
			continue
		}
		if i, known := at[userID]; known {
			present[i].Status, present[i].LastSeenAt = StatusOnline, nil
		} else {
			present = append(present, Present{UserID: userID, Status: StatusOnline})
		}
	}
	p.mu.Unlock()
	slices.SortFunc(present, func(a, b Present) int {
		return cmp.Or(cmp.Compare(order(a.Status), order(b.Status)), cmp.Compare(a.UserID, b.UserID))
	})
	return present, nil
}

// order returns where a status stands in a list.
func order(status string) int {
	return slices.Index([]string{StatusOnline, StatusReconnecting, StatusOffline}, status)
}

// Count returns how many members each group has online, in the order of
// groupIDs. It asks the store once, however many groups there are: call it for
// a page of groups, not for each. It returns fault.ErrUnavailable while that is
// not known. Who came within the last window may be missing.
func (p *Presence) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	if len(groupIDs) == 0 {
		return nil, nil
	}
	return p.store.Count(ctx, groupIDs)
}

// heard takes what the store tells of.
func (p *Presence) heard(groupID string, changes []PresenceChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		p.news.add(groupID, c)
	}
	p.wakeLocked()
}
