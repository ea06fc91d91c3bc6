package redismove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// GroupPart is presence when the group role may move. Its primary server answers. A second
// server may also be written. It never delays or fails a change that the primary accepts,
// and catches up later.
//
// The second server begins empty. Each node registers its users there and copies the data
// that only the primary has. Only then does the second server become the primary.
//
// Some transitions happen on a server without a change by this node: graces end, and dead
// nodes are swept. Each is reported on one node. Transitions of the primary are passed on.
// Those of the second server are passed on if the primary agrees: while nodes have
// different primaries, either server may report a transition first, and when the later
// report comes, both agree.
type GroupPart struct {
	log     *slog.Logger
	open    func(*redisrole.Clients) *redispresence.Store
	node    func() string // may be nil
	tasks   *tasks.Group
	reports *remoteReports

	entering sync.Mutex    // held by Enter, Start and Stop
	turn     chan struct{} // a semaphore of one: held while changes are applied, or the second server is replaced

	mu      sync.RWMutex // a mirror's lock may be taken while this is held
	primary groupServer
	second  *mirror // may be nil
	started bool
	stopped bool
	grace   time.Duration
	tell    func(groupID string, changes []group.PresenceChange)
}

// groupServer is a server and its store.
type groupServer struct {
	clients *redisrole.Clients
	store   *redispresence.Store
}

// member is a user in a group.
type member struct{ groupID, userID string }

var (
	_ Part           = (*GroupPart)(nil)
	_ presence.Store = (*GroupPart)(nil)

	errStopped = errors.New("redismove: started already, or stopped")
)

// NewGroupPart returns presence on the group role's client. It does no I/O.
func NewGroupPart(clients *redisrole.Clients, log *slog.Logger) *GroupPart {
	p := &GroupPart{log: log, tasks: tasks.New(), turn: make(chan struct{}, 1)}
	p.open = func(c *redisrole.Clients) *redispresence.Store {
		s := redispresence.New(c, log)
		s.SetNode(p.node)
		return s
	}
	p.reports = newRemoteReports(p)
	p.primary = groupServer{clients, p.open(clients)}
	return p
}

// SetNode makes the lists of all nodes show the name of this node, like
// [redispresence.Store.SetNode]. Call it before Start.
func (p *GroupPart) SetNode(node func() string) {
	p.node = node
	primary, second := p.servers()
	primary.store.SetNode(node)
	if second != nil {
		second.store.SetNode(node)
	}
}

// Start implements [presence.Store].
func (p *GroupPart) Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	p.mu.Lock()
	if p.started || p.stopped {
		p.mu.Unlock()
		return errStopped
	}
	p.started, p.grace, p.tell = true, grace, tell
	primary, second := p.primary, p.second
	p.mu.Unlock()
	p.tasks.Run(p.reports.run)
	if second != nil {
		second.start()
		p.tasks.Run(func(ctx context.Context) { p.startSecond(ctx, second) })
	}
	return primary.store.Start(ctx, grace, p.tellFrom(primary.store))
}

func (p *GroupPart) startSecond(ctx context.Context, second *mirror) {
	err := second.store.Start(ctx, p.grace, p.tellFrom(second.store))
	p.mu.RLock()
	defer p.mu.RUnlock()
	if err != nil && !p.stopped {
		p.log.WarnContext(ctx, "redismove: the second server of the group role cannot be used", "err", err)
	}
}

// tellFrom returns the function with which a store reports transitions.
func (p *GroupPart) tellFrom(store *redispresence.Store) func(groupID string, changes []group.PresenceChange) {
	return func(groupID string, changes []group.PresenceChange) {
		if primary, _ := p.servers(); primary.store == store {
			p.tell(groupID, changes)
			return
		}
		p.reports.add(groupID, changes...)
	}
}

// Stop implements [presence.Store].
func (p *GroupPart) Stop(ctx context.Context) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	p.mu.Lock()
	p.stopped = true
	primary, second := p.primary, p.second
	p.mu.Unlock()
	var stopping sync.WaitGroup
	if second != nil {
		stopping.Go(func() {
			if err := errors.Join(second.tasks.Stop(ctx), second.store.Stop(ctx)); err != nil {
				p.log.Debug("redismove: cannot leave the second server of the group role", "err", err)
			}
		})
	}
	err := primary.store.Stop(ctx)
	stopping.Wait()
	return errors.Join(err, p.tasks.Stop(ctx))
}

// Clients returns the clients of the primary server.
func (p *GroupPart) Clients() *redisrole.Clients {
	primary, _ := p.servers()
	return primary.clients
}

func (p *GroupPart) servers() (groupServer, *mirror) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.primary, p.second
}

// Apply implements [presence.Store].
func (p *GroupPart) Apply(ctx context.Context, changes []presence.Attendance) ([]group.PresenceChange, error) {
	if err := p.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer p.endTurn()
	primary, second := p.servers()
	if second == nil {
		return primary.store.Apply(ctx, changes)
	}
	mirrored := second.add(changes)
	told, err := primary.store.Apply(ctx, changes)
	transitions := second.wait(ctx, mirrored)
	for i, c := range changes { // a transition that both servers return is reported once
		key := member{c.GroupID, c.UserID}
		if err == nil && transitions[key].Status == told[i].Status {
			delete(transitions, key)
		}
	}
	p.reports.addAll(transitions)
	return told, err
}

// SetState implements [presence.Store].
func (p *GroupPart) SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error) {
	set, _ := p.servers()
	at, err := set.store.SetState(ctx, groupID, userID, state)
	if err != nil {
		return at, err
	}
	p.mu.RLock()
	primary, second := p.primary, p.second
	if second != nil && second.store != set.store {
		second.addState(member{groupID, userID}, state, at)
	}
	p.mu.RUnlock()
	if primary.store != set.store { // the servers were swapped meanwhile
		err = primary.store.SetStateAt(ctx, groupID, userID, state, at)
	}
	return at, err
}

// List implements [presence.Store].
func (p *GroupPart) List(ctx context.Context, groupID string) ([]group.Present, error) {
	primary, _ := p.servers()
	return primary.store.List(ctx, groupID)
}

// Count implements [presence.Store].
func (p *GroupPart) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	primary, _ := p.servers()
	return primary.store.Count(ctx, groupIDs)
}

// Health pings the primary server. It also returns an error while presence may be missing
// there, because other values were under its keys.
func (p *GroupPart) Health(ctx context.Context) error {
	primary, _ := p.servers()
	if err := primary.clients.Health(ctx, redisrole.Group); err != nil {
		return err
	}
	return primary.store.Health()
}

// Broken returns the number of unreadable values on the primary server.
func (p *GroupPart) Broken() int64 {
	primary, _ := p.servers()
	return primary.store.Broken()
}

// takeTurn waits until no change is being applied and the second server cannot be replaced.
func (p *GroupPart) takeTurn(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to store who is present: %w", ctx.Err())
	}
}

func (p *GroupPart) endTurn() { <-p.turn }
