package group

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// eventPresence tells a group's subscribers who came and went.
const eventPresence = "group:presence"

// retryPresence is how long after a failure the store is tried again.
const retryPresence = time.Second

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
	// Start begins to keep this node's claims alive. gone is called, never
	// concurrently with itself, for users whose last node died.
	Start(ctx context.Context, gone func(groupID string, users []string)) error

	// Apply stores what changed on this node. For each change the answer says
	// whether the user came there first, or went last, of all nodes. After an
	// error nothing is known and the same changes are applied again.
	Apply(ctx context.Context, changes []Attendance) ([]bool, error)

	// List returns the users who have a subscribed socket on a live node, in
	// any order; fault.ErrUnavailable while that is not known.
	List(ctx context.Context, groupID string) ([]string, error)

	// Stop gives up this node's claims.
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
	tasks  *tasks
	wake   chan struct{}

	mu     sync.Mutex
	groups map[string]map[string]*attendee
	dirty  map[attendanceKey]struct{}
	gone   map[string][]string // users whose nodes died, by group, to be told
}

// attendee is a user with sockets on this node, or one whose end the store has
// not heard of.
type attendee struct {
	sockets int
	stored  bool
}

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
		tasks:  newTasks(),
		wake:   make(chan struct{}, 1),
		groups: make(map[string]map[string]*attendee),
		dirty:  make(map[attendanceKey]struct{}),
		gone:   make(map[string][]string),
	}
}

// Start begins to tell the store and the subscribers.
func (p *Presence) Start(ctx context.Context) error {
	if err := p.store.Start(ctx, p.died); err != nil {
		return err
	}
	p.tasks.run(p.loop)
	return nil
}

// Stop tells the store of those who went, and gives up this node's claims.
func (p *Presence) Stop(ctx context.Context) error {
	err := p.tasks.stop(ctx)
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
	users := p.groups[groupID]
	if users == nil {
		users = make(map[string]*attendee)
		p.groups[groupID] = users
	}
	a := users[userID]
	if a == nil {
		a = &attendee{}
		users[userID] = a
	}
	a.sockets += by
	if (a.sockets > 0) != a.stored {
		p.dirty[attendanceKey{groupID, userID}] = struct{}{}
		p.wakeLocked()
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

// died takes users whose last node is dead.
func (p *Presence) died(groupID string, users []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone[groupID] = append(p.gone[groupID], users...)
	p.wakeLocked()
}

// loop flushes once a window while there is something to tell.
func (p *Presence) loop(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if !wait(ctx, p.window) {
			return
		}
		if !p.flush(ctx) {
			if !wait(ctx, retryPresence) {
				return
			}
			p.mu.Lock()
			p.wakeLocked()
			p.mu.Unlock()
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flush tells the store what changed here, and the subscribers what changed
// anywhere. It reports false when the store did not take it.
func (p *Presence) flush(ctx context.Context) bool {
	p.mu.Lock()
	changes := make([]Attendance, 0, len(p.dirty))
	for key := range p.dirty {
		changes = append(changes, Attendance{key.groupID, key.userID, p.groups[key.groupID][key.userID].sockets > 0})
	}
	clear(p.dirty)
	gone := p.gone
	p.gone = make(map[string][]string)
	p.mu.Unlock()

	news := make(map[string][]presenceItem)
	at := p.now().UTC()
	for groupID, users := range gone {
		for _, userID := range users {
			news[groupID] = append(news[groupID], presenceItem{userID, statusOffline, at})
		}
	}
	var told []bool
	var err error
	if len(changes) > 0 {
		told, err = p.store.Apply(ctx, changes)
	}
	p.mu.Lock()
	for i, c := range changes {
		p.settleLocked(c, err == nil)
		if err != nil || !told[i] {
			continue
		}
		status := statusOffline
		if c.Here {
			status = statusOnline
		}
		news[c.GroupID] = append(news[c.GroupID], presenceItem{c.UserID, status, at})
	}
	p.mu.Unlock()
	for groupID, items := range news {
		p.tell(ctx, groupID, items)
	}
	if err != nil {
		p.log.Debug("group: presence cannot be stored", "changes", len(changes), "err", err)
	}
	return err == nil
}

// settleLocked notes what the store knows of a user, and that it must hear
// more when he came or went meanwhile.
func (p *Presence) settleLocked(c Attendance, stored bool) {
	a := p.groups[c.GroupID][c.UserID]
	if stored {
		a.stored = c.Here
	}
	if (a.sockets > 0) != a.stored {
		p.dirty[attendanceKey{c.GroupID, c.UserID}] = struct{}{}
		p.wakeLocked()
		return
	}
	if a.sockets == 0 {
		delete(p.groups[c.GroupID], c.UserID)
		if len(p.groups[c.GroupID]) == 0 {
			delete(p.groups, c.GroupID)
		}
	}
}

// presenceItem is one change as subscribers are told it.
type presenceItem struct {
	UserID string    `json:"userId"`
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

func (p *Presence) tell(ctx context.Context, groupID string, items []presenceItem) {
	slices.SortFunc(items, func(a, b presenceItem) int { return strings.Compare(a.UserID, b.UserID) })
	data, err := encode(struct {
		GroupID string         `json:"groupId"`
		Items   []presenceItem `json:"items"`
	}{groupID, items})
	if err != nil {
		p.log.Error("group: a presence change cannot be encoded", "group", groupID, "err", err)
		return
	}
	// The error speaks of other nodes: presence is at most once.
	_ = p.out.Emit(ctx, adapter.Envelope{Room: Room(groupID), Event: eventPresence, Data: data})
}
