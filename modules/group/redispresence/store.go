// Package redispresence keeps presence in the group role's Redis: which user has a
// subscribed socket on which node. [Store] implements [presence.Store]; create one with
// [New].
//
// Each node holds a lease. When a lease expires, another node removes that node's users.
// The server may lose its data or be unreachable. No user is reported offline because of
// that: renew.lua explains how.
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

// Timing holds a store's intervals. All nodes on a server use the same.
type Timing struct {
	Lease time.Duration // how long a node counts as alive after a renewal
	Renew time.Duration // interval between renewals
	Retry time.Duration // wait after a failure
	Look  time.Duration // how long a node that was considered dead waits until it has noticed its ended sockets
}

var production = Timing{Lease: 10 * time.Second, Renew: 3 * time.Second, Retry: 500 * time.Millisecond, Look: time.Second}

const (
	// timeToLive is how long a key outlives its last change. Every announceEvery, a node
	// renews the keys that it still uses.
	timeToLive    = 3 * time.Hour
	announceEvery = time.Hour

	callTimeout = 2 * time.Second // for one round trip
	listTimeout = time.Second     // for a call that a user waits for
)

var (
	errNotJoined = errors.New("redispresence: this node has not joined the other nodes yet")
	errForgotten = errors.New("redispresence: the server lost its data")
	errWaiting   = errors.New("redispresence: the server lost its data; the nodes are registering their users again")
	errChanged   = errors.New("redispresence: this node got a new identity")
	errDown      = errors.New("redispresence: the server does not answer")
	errLapsed    = errors.New("redispresence: this node's lease was not renewed in time")
	errLeft      = errors.New("redispresence: the nodes have moved to another server")
	errStopped   = errors.New("redispresence: already started or stopped")
)

// Store is this node's view of presence on a server that all nodes share. Its methods
// return fault.ErrUnavailable when they fail. It is safe for concurrent use.
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

	turn chan struct{} // a semaphore of one: held while this node's users are written
	poke chan struct{} // asks for a renewal at once
	wake chan struct{} // wakes the worker, because the backlog grew

	sooner chan struct{} // wakes endGraces, because a grace ends before nextEnd

	unconfirmed map[string][]group.PresenceChange // by group: reported changes that the server has not confirmed; used by endGraces only

	mu           sync.Mutex
	claims       claims
	watched      map[string]time.Time // groups where graces may end, and when to look
	nextEnd      time.Time            // the earliest time in watched
	self         identity
	discardOld   bool      // discard the server's old data on joining; see Inherit
	registeredAs identity  // the identity under which all users were last registered
	renewed      time.Time // when the last successful renewal began
	down         error     // why the server cannot be used; nil if it can
	suspect      bool      // a call failed: the server may have lost data
	backlog      backlog
	broken       brokenness
	started      bool
	closed       bool
}

// identity is how the server knows this node.
type identity struct { // see newID; changes each time the other nodes consider this node dead
	id     string // see newID; replaced whenever the other nodes considered this one dead
	before string // earlier ids, separated by spaces, until all users are registered again
	epoch  string // the server's epoch; empty before the first renewal
}

var _ presence.Store = (*Store)(nil)

// New returns a store on the group role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Store {
	return &Store{
		clients:     clients,
		client:      redisrole.Bounded(clients.Client(redisrole.Group), callTimeout),
		keys:        keys{prefix: clients.Prefix()},
		log:         log,
		timing:      production,
		scripts:     newScripts(),
		tasks:       tasks.New(),
		turn:        make(chan struct{}, 1),
		poke:        make(chan struct{}, 1),
		wake:        make(chan struct{}, 1),
		sooner:      make(chan struct{}, 1),
		claims:      make(claims),
		watched:     make(map[string]time.Time),
		unconfirmed: make(map[string][]group.PresenceChange),
		self:        identity{id: newID("")},
		down:        errNotJoined,
		broken:      brokenness{repaired: make(map[string]struct{})},
	}
}

// SetTiming changes the intervals, for tests. Call it before Start.
func (s *Store) SetTiming(t Timing) { s.timing = t }

// SetNode makes the lists of all nodes show the name of this node. Call it before Start,
// which calls node. The name must contain no space and no dot. The server stores the name
// for each user, so keep it short.
func (s *Store) SetNode(node func() string) { s.node = node }

// newID returns a new id for a node: "name.random", or "random" if the name is empty.
func newID(name string) string {
	random := strings.ToLower(rand.Text())
	if name == "" {
		return random[:16]
	}
	return name + "." + random[:7]
}

// nodeOf returns the name in an id, or "" if it has none.
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

// Start implements [presence.Store]. If the server does not answer, Start returns after two
// seconds and goes on trying.
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
	s.tasks.Run(s.runBacklog)
	s.tasks.Run(s.endGraces)
	s.tasks.Run(func(ctx context.Context) { s.clients.Watch(ctx, redisrole.Group, s.log) })
	select {
	case <-tried:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Stop(context.WithoutCancel(ctx)))
	}
}

// Stop implements [presence.Store]. Another node then sweeps this node's users at once.
func (s *Store) Stop(ctx context.Context) error {
	return s.close(ctx, s.release)
}

// close ends the goroutines, and then calls giveUp unless an earlier close did.
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
	// Watch after the write, because a look that finds no grace stops watching. Also after
	// a failed write, because the server may have stored it.
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

// mayWrite returns an error while the other nodes may consider this one dead and may have
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

// take waits for the turn to write this node's users. Without it, an announcement could
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

// ask calls read with a timeout of listTimeout, or fails at once while the server is down.
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

// renewNow renews the lease at once, to find out whether the server lost data.
func (s *Store) renewNow() {
	s.mu.Lock()
	s.suspect = true
	s.mu.Unlock()
	tasks.Wake(s.poke)
}
