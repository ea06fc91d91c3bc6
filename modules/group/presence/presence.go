package presence

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Tracker tells who of a group's members is there: who has a subscribed
// socket on any node, once however many. It is the feed's Watcher.
//
// Its methods may be called concurrently and do not block. What changes on
// this node goes to the store, and to the subscribers, by one goroutine, once a
// window: a user who leaves and comes back within it was never away, and any
// number of changes costs one message a group. Large groups in which members
// come and go all the time are told of it less often.
type Tracker struct {
	store   Store
	out     Sender
	grace   time.Duration
	window  time.Duration
	log     *slog.Logger
	program group.Translator
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

// Sender is the way out to the sockets, as presence needs it. adapter.Owner
// fulfils it.
type Sender interface {
	// CheckEvent returns an error for an event that belongs to another module.
	CheckEvent(event string) error
	// Tell sends to this node's sockets and to the other nodes what may be lost,
	// and does not wait.
	Tell(ctx context.Context, env adapter.Envelope)
}

// attendee is a user with sockets on this node, or one whose end the store has
// not heard of.
type attendee struct {
	sockets int
	stored  bool // the store has them
	unsure  bool // it may know something else of them: it was told, and has not said that all went well
	again   bool // it is to be told once more, also when it says so
	end     ending
}

// settled reports whether the store knows how it is.
func (a *attendee) settled() bool { return !a.unsure && a.stored == (a.sockets > 0) }

type attendanceKey struct{ groupID, userID string }

// New returns the presence of this node's sockets, kept in store and
// told through out.
func New(cfg group.Config, store Store, out Sender, log *slog.Logger) *Tracker {
	cfg = cfg.WithDefaults()
	return &Tracker{
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
func (p *Tracker) Translate(t group.Translator) { p.program = t }

// Stats is how telling the store goes.
type Stats struct {
	Waiting int   // users of whom the store is still to be told
	Failed  int64 // times that it did not take what it was told
}

// Stats returns how telling the store goes.
func (p *Tracker) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Waiting: len(p.dirty), Failed: p.failed.Load()}
}

// Start begins to tell the store and the subscribers.
func (p *Tracker) Start(ctx context.Context) error {
	if err := p.store.Start(ctx, p.grace, p.heard); err != nil {
		return err
	}
	p.tasks.Run(p.loop)
	return nil
}

// Stop tells the store of those who went and of those who are still here: they
// are waited for, on another node. It gives up this node's claims.
func (p *Tracker) Stop(ctx context.Context) error {
	err := p.tasks.Stop(ctx)
	p.drain()
	p.flush(ctx)
	if stopped := p.store.Stop(ctx); err == nil {
		err = stopped
	}
	return err
}

// drain ends whatever subscriptions are left. What is told then is the last.
func (p *Tracker) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.resting)
	for groupID, users := range p.groups {
		for userID, a := range users {
			if a.sockets > 0 {
				a.sockets, a.end = 0, endingOf(group.EndDrained)
				p.checkLocked(attendanceKey{groupID, userID}, a)
			}
		}
	}
}

// Subscribed implements feed.Watcher.
func (p *Tracker) Subscribed(groupID, userID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	a.sockets++
	p.checkLocked(key, a)
}

// Unsubscribed implements feed.Watcher.
func (p *Tracker) Unsubscribed(groupID, userID, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	a.sockets-- // below zero when an end overtakes its beginning
	a.end = endingOf(reason)
	p.checkLocked(key, a)
}

// Ended implements feed.Watcher. Their sockets are told by the feed; here are those
// who have none and are waited for.
func (p *Tracker) Ended(groupID, userID, reason string) {
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

func (p *Tracker) attendeeLocked(key attendanceKey) *attendee {
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

// checkLocked notes what there is to tell the store of a user, and forgets them
// when that is nothing and will be nothing.
func (p *Tracker) checkLocked(key attendanceKey, a *attendee) {
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

func (p *Tracker) wakeLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// List returns who is there, and then who was there lately, by user id. It
// returns fault.ErrUnavailable while that is not known.
func (p *Tracker) List(ctx context.Context, groupID string) ([]group.Present, error) {
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
			present[i].Status, present[i].LastSeenAt = group.StatusOnline, nil
		} else {
			present = append(present, group.Present{UserID: userID, Status: group.StatusOnline})
		}
	}
	p.mu.Unlock()
	slices.SortFunc(present, func(a, b group.Present) int {
		return cmp.Or(cmp.Compare(order(a.Status), order(b.Status)), cmp.Compare(a.UserID, b.UserID))
	})
	return present, nil
}

// order returns where a status stands in a list.
func order(status string) int {
	return slices.Index([]string{group.StatusOnline, group.StatusReconnecting, group.StatusOffline}, status)
}

// Count returns how many members each group has online, in the order of
// groupIDs. It asks the store once, however many groups there are: call it for
// a page of groups, not for each. It returns fault.ErrUnavailable while that is
// not known. Who came within the last window may be missing.
func (p *Tracker) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	if len(groupIDs) == 0 {
		return nil, nil
	}
	return p.store.Count(ctx, groupIDs)
}

// heard takes what the store tells of.
func (p *Tracker) heard(groupID string, changes []group.PresenceChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		p.news.add(groupID, c)
	}
	p.wakeLocked()
}
