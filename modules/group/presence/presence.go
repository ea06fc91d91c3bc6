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

// Tracker tracks the subscribed sockets of users on this node. It writes changes to the
// store and reports them to subscribers. It implements the feed's Watcher.
//
// It is safe for concurrent use. Its methods do not block, except those that read. One
// goroutine writes and reports, once a window (presence.window). A user who leaves and
// returns within a window causes no change. All changes of a window go out in one message
// for each group. Large groups are told less often.
type Tracker struct {
	store   Store
	out     Sender
	grace   time.Duration
	window  time.Duration
	log     *slog.Logger
	program group.Translator
	watcher Observer // may be nil
	tasks   *tasks.Group
	wake    chan struct{}
	failed  atomic.Int64

	mu      sync.Mutex
	groups  map[string]map[string]*attendee
	dirty   map[attendanceKey]struct{}
	news    presenceNews         // changes to report: from the store, live states, and postponed ones
	resting map[string]time.Time // large groups, and until when only live states are reported to them
	crowded map[string]time.Time // groups that had many members online lately, and until when only their number is reported
	reads   map[string]*presenceRead
}

// Sender sends to sockets. adapter.Owner implements it.
type Sender interface {
	// CheckEvent returns an error for an event that belongs to another module.
	CheckEvent(event string) error
	// CastQueued sends to this node's sockets and to the other nodes without
	// waiting. It may lose what it sends.
	CastQueued(ctx context.Context, env adapter.Envelope)
}

// attendee is a user with sockets on this node, or one whom the store still has to remove.
type attendee struct {
	sockets int
	stored  bool // the store lists the user as online
	unsure  bool // a write was sent and is not confirmed
	again   bool // another write is needed, even if the current one succeeds
	end     ending
}

// settled reports whether the store is up to date.
func (a *attendee) settled() bool { return !a.unsure && a.stored == (a.sockets > 0) }

type attendanceKey struct{ groupID, userID string }

// New returns a tracker that stores presence in store and sends through out.
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
		crowded: make(map[string]time.Time),
		reads:   make(map[string]*presenceRead),
	}
}

// Translate makes the tracker send the translation by t after each group:presence. Call it
// before Start.
func (p *Tracker) Translate(t group.Translator) { p.program = t }

// Observe makes the tracker report to o. Call it before Start.
func (p *Tracker) Observe(o Observer) { p.watcher = o }

// Stats counts writes to the store.
type Stats struct {
	Waiting int   // users whose change is not stored yet
	Failed  int64 // failed writes
}

// Stats returns the counts of writes to the store.
func (p *Tracker) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Waiting: len(p.dirty), Failed: p.failed.Load()}
}

// Start starts the store, and begins to write to it and to tell subscribers.
func (p *Tracker) Start(ctx context.Context) error {
	if err := p.store.Start(ctx, p.grace, p.heard); err != nil {
		return err
	}
	p.tasks.Run(p.loop)
	return nil
}

// Stop writes the last changes to the store, and then stops it. Users who are still online
// become reconnecting, so that they can come back on another node.
func (p *Tracker) Stop(ctx context.Context) error {
	err := p.tasks.Stop(ctx)
	p.drain()
	p.flush(ctx)
	if stopped := p.store.Stop(ctx); err == nil {
		err = stopped
	}
	return err
}

// drain ends all remaining subscriptions.
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
	a.sockets-- // below zero if Subscribed comes after this call
	a.end = endingOf(reason)
	p.checkLocked(key, a)
}

// Ended implements feed.Watcher. It ends the presence of a reconnecting user. If the user
// has sockets, the feed ends their subscriptions.
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

// checkLocked marks a user as dirty if the store is not up to date. Otherwise it drops a
// user without sockets.
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
	tasks.Wake(p.wake)
}

// List returns the users who are online, then those who are reconnecting, then those who
// went offline lately. It sorts each part by the members' places. It returns
// fault.ErrUnavailable while presence is not known.
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
	for userID, a := range p.groups[groupID] { // the store may not list them yet
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
		return cmp.Compare(a.Place(), b.Place())
	})
	return present, nil
}

// Count returns how many members each group has online, in the order of groupIDs. It makes
// one call to the store, so call it once for a whole page of groups. It may miss users who
// came within the last window. It returns fault.ErrUnavailable while the count is not
// known.
func (p *Tracker) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	if len(groupIDs) == 0 {
		return nil, nil
	}
	return p.store.Count(ctx, groupIDs)
}

// heard receives changes that the store reports.
func (p *Tracker) heard(groupID string, changes []group.PresenceChange) {
	for _, c := range changes {
		p.saw(groupID, c)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		p.news.add(groupID, c)
	}
	p.wakeLocked()
}
