// Package redispresence keeps presence in the group role's Redis: which user
// has a subscribed socket on which node. Each node holds a lease. When it
// expires, the other nodes remove the node's users.
//
// The server may lose its data or be out of reach. No user is told to be gone
// because of that: see renew.lua.
package redispresence

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
)

// Timing is how often a store does what. All nodes on a server use the same.
type Timing struct {
	Lease time.Duration // for how long a node counts as alive after a renewal
	Renew time.Duration // between renewals
	Retry time.Duration // after something failed
	Look  time.Duration // how long a node that was considered dead waits to find its ended sockets
}

var production = Timing{Lease: 10 * time.Second, Renew: 3 * time.Second, Retry: 500 * time.Millisecond, Look: time.Second}

const (
	// timeToLive is how long a key outlives its last change. announceEvery
	// renews the keys that are still in use.
	timeToLive    = 3 * time.Hour
	announceEvery = time.Hour

	callTimeout = 2 * time.Second // for one round trip
	listTimeout = time.Second     // for a call that a user waits for
)

var (
	errNotJoined = errors.New("redispresence: this node has not joined the others yet")
	errForgotten = errors.New("redispresence: the server lost its data")
	errWaiting   = errors.New("redispresence: the server lost its data; the nodes still enter their users")
	errChanged   = errors.New("redispresence: this node got another identity")
	errDown      = errors.New("redispresence: the server does not answer")
	errLapsed    = errors.New("redispresence: this node's lease was not renewed in time")
	errLeft      = errors.New("redispresence: the nodes have gone to another server")
	errStopped   = errors.New("redispresence: started already, or stopped")
)

// Store is one node's presence on a server that all nodes share. Its errors
// are fault.ErrUnavailable. It is safe for concurrent use.
type Store struct {
	clients *redisrole.Clients
	client  redis.UniversalClient
	keys    keys
	log     *slog.Logger
	timing  Timing
	scripts scripts
	tasks   *tasks.Group
	node    func() string // may be nil
	tell    func(groupID string, changes []group.PresenceChange)
	grace   time.Duration

	turn chan struct{} // full while this node's users are written
	poke chan struct{} // renew now
	wake chan struct{} // the backlog grew

	sooner chan struct{} // a grace ends before nextEnd

	told map[string][]group.PresenceChange // by group: what this node told, and the server does not know; for endGraces alone

	mu      sync.Mutex
	claims  claims
	watched map[string]time.Time // groups where graces may end, and when to look
	nextEnd time.Time            // the earliest time in watched
	self    identity
	anew    bool      // see Inherit
	allIn   identity  // this node's identity when all its users were last entered
	renewed time.Time // when the last renewal that succeeded began
	down    error     // why the server cannot be asked
	doubt   bool      // a call failed: the server may have lost data
	backlog backlog
	broken  brokenness
	started bool
	closed  bool
}

// identity is what the server knows this node by.
type identity struct {
	id     string // see newID; replaced whenever the other nodes considered this one dead
	before string // earlier ids, separated by spaces, until all users are entered again
	epoch  string // the server's; empty before the first renewal
}

var _ presence.Store = (*Store)(nil)

// New returns a store on the group role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Store {
	return &Store{
		clients: clients,
		client:  redisrole.Bounded(clients.Client(redisrole.Group), callTimeout),
		keys:    keys{prefix: clients.Prefix()},
		log:     log,
		timing:  production,
		scripts: newScripts(),
		tasks:   tasks.New(),
		turn:    make(chan struct{}, 1),
		poke:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		sooner:  make(chan struct{}, 1),
		claims:  make(claims),
		watched: make(map[string]time.Time),
		told:    make(map[string][]group.PresenceChange),
		self:    identity{id: newID("")},
		down:    errNotJoined,
		broken:  brokenness{mended: make(map[string]struct{})},
	}
}

// SetTiming changes the rhythm, for tests. Call it before Start.
func (s *Store) SetTiming(t Timing) { s.timing = t }

// SetNode makes the lists of all nodes name this one. Call it before Start, which calls
// node. The name must have no space and no dot. The server stores it for each user.
func (s *Store) SetNode(node func() string) { s.node = node }

// newID returns a new id for the node of a name: "name.random", or "random" without one.
func newID(name string) string {
	random := strings.ToLower(rand.Text())
	if name == "" {
		return random[:16]
	}
	return name + "." + random[:7]
}

// nodeOf returns the name in an id; "" if there is none.
func nodeOf(id string) string {
	name, _, named := strings.Cut(id, ".")
	if !named {
		return ""
	}
	return name
}

func (s *Store) newID() string {
	if s.node == nil {
		return newID("")
	}
	return newID(s.node())
}

// Start implements [presence.Store]. If the server does not answer, it returns
// after two seconds.
func (s *Store) Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error {
	s.mu.Lock()
	if s.started {
		s.mu.Unlock()
		return errStopped
	}
	s.started, s.grace, s.tell = true, grace, tell
	s.self.id = s.newID()
	s.mu.Unlock()
	tried := make(chan struct{})
	if !s.tasks.Run(func(ctx context.Context) { s.keepLease(ctx, tried) }) {
		return errStopped
	}
	s.tasks.Run(s.workOff)
	s.tasks.Run(s.endGraces)
	s.tasks.Run(func(ctx context.Context) { s.clients.Watch(ctx, redisrole.Group, s.log) })
	select {
	case <-tried:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Stop(context.WithoutCancel(ctx)))
	}
}

// Stop implements [presence.Store]. Another node sweeps this node's users at
// once.
func (s *Store) Stop(ctx context.Context) error {
	return s.close(ctx, s.release)
}

// close ends the goroutines, and then calls giveUp once.
func (s *Store) close(ctx context.Context, giveUp func(context.Context)) error {
	if err := s.tasks.Stop(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	first := s.started && !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		giveUp(ctx)
	}
	return nil
}

// Apply implements [presence.Store].
func (s *Store) Apply(ctx context.Context, changes []presence.Attendance) ([]group.PresenceChange, error) {
	if err := s.take(ctx); err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	defer s.give()
	self, marked := s.remember(changes)
	if err := s.mayWrite(self); err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	groups := groupsOf(marked)
	if err := s.note(ctx, self.id, groups); err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	results, err := s.write(ctx, self, marked)
	// After the write, as a look that finds no grace is the last one. And after one that
	// failed, as the server may have begun graces.
	for _, c := range marked {
		if !c.Here && !c.Final {
			s.watch(c.GroupID, time.Now().Add(s.grace))
		}
	}
	if err != nil {
		s.renewNow()
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	s.confirm(self, marked, results)
	told := make([]group.PresenceChange, len(changes))
	for i, r := range results {
		told[i] = r.change(changes[i])
	}
	return told, nil
}

// mayWrite fails while the other nodes may consider this one dead and have
// swept its users.
func (s *Store) mayWrite(self identity) error {
	s.mu.Lock()
	lapsed := time.Since(s.renewed) > s.timing.Lease
	s.mu.Unlock()
	switch {
	case self.epoch == "":
		return errNotJoined
	case lapsed:
		s.renewNow()
		return errLapsed
	}
	return nil
}

// SetState implements [presence.Store].
func (s *Store) SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error) {
	var at time.Time
	err := s.ask(ctx, func(ctx context.Context, _ string) (err error) {
		at, err = s.setState(ctx, groupID, userID, state, time.Time{})
		return err
	})
	return at, err
}

// take waits for the turn to write this node's users: an announcement must not
// overwrite a newer change.
func (s *Store) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) give() { <-s.turn }

// List implements [presence.Store]. It fails at once while the server is known
// to be down.
func (s *Store) List(ctx context.Context, groupID string) ([]group.Present, error) {
	var users []group.Present
	err := s.ask(ctx, func(ctx context.Context, epoch string) (err error) {
		users, err = s.read(ctx, groupID, epoch)
		return err
	})
	return users, err
}

// Count implements [presence.Store]. It fails at once while the server is
// known to be down.
func (s *Store) Count(ctx context.Context, groupIDs []string) ([]int, error) {
	var counts []int
	err := s.ask(ctx, func(ctx context.Context, epoch string) (err error) {
		counts, err = s.count(ctx, groupIDs, epoch)
		return err
	})
	return counts, err
}

// ask calls read if the server can be read, within listTimeout.
func (s *Store) ask(ctx context.Context, read func(ctx context.Context, epoch string) error) error {
	s.mu.Lock()
	epoch, down := s.self.epoch, s.down
	s.mu.Unlock()
	if down != nil {
		return fault.ErrUnavailable.WithCause(down)
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	err := read(ctx, epoch)
	if err == nil {
		return nil
	}
	if !errors.Is(err, errWaiting) {
		s.renewNow()
	}
	return fault.ErrUnavailable.WithCause(err)
}

// renewNow renews the lease at once, to find out what the server lost.
func (s *Store) renewNow() {
	s.mu.Lock()
	s.doubt = true
	s.mu.Unlock()
	tasks.Wake(s.poke)
}
