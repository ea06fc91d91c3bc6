package group

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// Attendance says that a user has a subscribed socket on this node, or has
// none any more.
type Attendance struct {
	GroupID, UserID string
	Here            bool
}

// PresenceStore keeps who has a subscribed socket, on any node. Each node has a
// store of its own, and several may share what is behind it. Its methods may be
// called concurrently, but Apply.
type PresenceStore interface {
	// Start begins to keep this node's claims alive; a server that is down is
	// no error. tell is called for users who came or went by no change of this
	// node's: whose last node died, or whose node is this one and was taken for
	// dead. Each is told on one node. tell does not block.
	Start(ctx context.Context, tell func(groupID string, users []string, here bool)) error

	// Apply stores what changed on this node. For each change the answer says
	// whether no other node has the user: he came first, or went last. After
	// an error nothing is known; how things are then is applied again.
	Apply(ctx context.Context, changes []Attendance) ([]bool, error)

	// List returns the users who have a subscribed socket on a live node, in
	// any order; fault.ErrUnavailable while that is not known of all nodes.
	List(ctx context.Context, groupID string) ([]string, error)

	// Count returns how many users each group has online, in the order of
	// groupIDs and in one round trip. It fails as List does. Until a dead
	// node's users are swept, for a few seconds, they may be counted.
	Count(ctx context.Context, groupIDs []string) ([]int, error)

	// Stop gives up this node's claims. No call to tell is running or will run
	// when it returns.
	Stop(ctx context.Context) error
}

// Presence tells who of a group's members is there: who has a subscribed
// socket on any node, once however many. It is the feed's [Watcher].
//
// Its methods may be called concurrently and do not block. What changes on
// this node goes to the store, and to the subscribers, by one goroutine, once a
// window: a user who leaves and comes back within it was never away, and any
// number of changes costs one message a group.
type Presence struct {
	store  PresenceStore
	out    Emitter
	window time.Duration
	log    *slog.Logger
	now    func() time.Time
	tasks  *tasks.Group
	wake   chan struct{}

	mu     sync.Mutex
	groups map[string]map[string]*attendee
	dirty  map[attendanceKey]struct{}
	news   map[string]map[string]bool // by group and user, from the store: whether he is there
}

// attendee is a user with sockets on this node, or one whose end the store has
// not heard of.
type attendee struct {
	sockets int
	stored  bool // the store has him
	unsure  bool // it may or may not: it failed when it was told
}

// settled reports whether the store knows how it is.
func (a *attendee) settled() bool { return !a.unsure && a.stored == (a.sockets > 0) }

type attendanceKey struct{ groupID, userID string }

var _ Watcher = (*Presence)(nil)

// NewPresence returns the presence of this node's sockets, kept in store and
// told through out.
func NewPresence(cfg Config, store PresenceStore, out Emitter, log *slog.Logger) *Presence {
	return &Presence{
		store:  store,
		out:    out,
		window: cfg.WithDefaults().PresenceWindow,
		log:    log,
		now:    time.Now,
		tasks:  tasks.New(),
		wake:   make(chan struct{}, 1),
		groups: make(map[string]map[string]*attendee),
		dirty:  make(map[attendanceKey]struct{}),
		news:   make(map[string]map[string]bool),
	}
}

// Start begins to tell the store and the subscribers.
func (p *Presence) Start(ctx context.Context) error {
	if err := p.store.Start(ctx, p.heard); err != nil {
		return err
	}
	p.tasks.Run(p.loop)
	return nil
}

// Stop tells the store of those who went, and gives up this node's claims.
func (p *Presence) Stop(ctx context.Context) error {
	err := p.tasks.Stop(ctx)
	p.flush(ctx)
	if stopped := p.store.Stop(ctx); err == nil {
		err = stopped
	}
	return err
}

// Subscribed implements [Watcher].
func (p *Presence) Subscribed(groupID string, s Subscriber) { p.count(groupID, s.UserID(), 1) }

// Unsubscribed implements [Watcher].
func (p *Presence) Unsubscribed(groupID string, s Subscriber, _ string) {
	p.count(groupID, s.UserID(), -1)
}

func (p *Presence) count(groupID, userID string, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attendanceKey{groupID, userID}
	a := p.attendeeLocked(key)
	a.sockets += by // below zero when an end overtakes its beginning
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

// List returns who is there, by user id. It returns fault.ErrUnavailable while
// that is not known.
func (p *Presence) List(ctx context.Context, groupID string) ([]Present, error) {
	users, err := p.store.List(ctx, groupID)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	for userID, a := range p.groups[groupID] {
		if a.sockets > 0 {
			users = append(users, userID)
		}
	}
	p.mu.Unlock()
	slices.Sort(users)
	users = slices.Compact(users)
	present := make([]Present, len(users))
	for i, userID := range users {
		present[i] = Present{UserID: userID, Status: statusOnline}
	}
	return present, nil
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
func (p *Presence) heard(groupID string, users []string, here bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news[groupID] == nil {
		p.news[groupID] = make(map[string]bool)
	}
	for _, userID := range users {
		p.news[groupID][userID] = here
	}
	p.wakeLocked()
}
