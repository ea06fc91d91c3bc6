// Package redispresence keeps presence in the group role's Redis: who has a
// subscribed socket, on which node, under a lease that every node renews and
// any node may enforce.
//
// Nothing is concluded from what the server may have lost or could not hear:
// see renew.lua.
package redispresence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
)

// timing is what tests shorten.
type timing struct {
	lease time.Duration // for how long a node counts as alive after a renewal
	renew time.Duration // between renewals
	retry time.Duration // after something failed
	look  time.Duration // how long a node that was taken for dead looks who is still there
}

var production = timing{lease: 10 * time.Second, renew: 3 * time.Second, retry: 500 * time.Millisecond, look: time.Second}

const (
	// timeToLive bounds how long a key outlives its last change, so that
	// nothing is kept for ever; announceEvery keeps what is still true.
	timeToLive    = 3 * time.Hour
	announceEvery = time.Hour

	callTimeout = 2 * time.Second // for one round trip
	listTimeout = time.Second     // for somebody who waits
)

var (
	errNotJoined = errors.New("redispresence: this node has not joined the others yet")
	errForgotten = errors.New("redispresence: the server lost its data")
	errWaiting   = errors.New("redispresence: the server lost its data; nodes are still entering their users")
	errChanged   = errors.New("redispresence: this node is another one now")
	errDown      = errors.New("redispresence: the server does not answer")
	errLapsed    = errors.New("redispresence: this node's lease was not renewed in time")
	errLeft      = errors.New("redispresence: the nodes have gone to another server")
	errStopped   = errors.New("redispresence: started already, or stopped")
)

// Store is the presence of one node's sockets among those of all nodes on the
// same Redis and prefix. Its errors are fault.ErrUnavailable. It is safe for
// concurrent use.
type Store struct {
	clients *redisrole.Clients
	client  redis.UniversalClient
	keys    keys
	log     *slog.Logger
	timing  timing
	scripts scripts
	tell    func(groupID string, changes []group.PresenceChange)
	grace   time.Duration

	turn chan struct{} // full while somebody writes this node's users
	poke chan struct{} // renew now
	wake chan struct{} // there are chores

	sooner chan struct{} // a grace ends earlier than the next that was known

	mu      sync.Mutex
	claims  claims
	watched map[string]time.Time // groups where graces may end, and when to look
	nextEnd time.Time            // of watched, the first
	self    identity
	fresh   bool      // until it has joined: what the server has is nobody's if nobody is alive there
	allIn   identity  // who this node was when all of its users were entered
	renewed time.Time // when the last renewal that succeeded began
	down    error     // why the server cannot be asked
	doubt   bool      // a call failed: the server may be another one, and have lost something
	chores  chores
	stop    context.CancelFunc // nil: not started
	stopped bool
	done    sync.WaitGroup
}

// identity is what this node's entries are written under.
type identity struct {
	id     string // made new whenever the others took this node for dead
	before string // the ids that it had, divided by spaces, until all users are entered again
	epoch  string // the server's; empty before the first renewal
}

var _ presence.Store = (*Store)(nil)

// New returns a store on the group role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Store {
	return &Store{
		clients: clients,
		client:  bounded(clients.Client(redisrole.Group)),
		keys:    keys{prefix: clients.Prefix()},
		log:     log,
		timing:  production,
		scripts: newScripts(),
		turn:    make(chan struct{}, 1),
		poke:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		sooner:  make(chan struct{}, 1),
		claims:  make(claims),
		watched: make(map[string]time.Time),
		self:    identity{id: newID()},
		down:    errNotJoined,
	}
}

// bounded returns a view of client, on the same connections, that does not
// wait longer than callTimeout: an embedding program's client may be more
// patient.
func bounded(client redis.UniversalClient) redis.UniversalClient {
	c, ok := client.(*redis.Client)
	if !ok {
		return client
	}
	if t := c.Options().ReadTimeout; t > 0 && t <= callTimeout {
		return client
	}
	return c.WithTimeout(callTimeout)
}

func newID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}

// Start implements [presence.Store]. It waits for a server that does not
// answer for two seconds at most.
func (s *Store) Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error {
	s.mu.Lock()
	if s.stop != nil || s.stopped {
		s.mu.Unlock()
		return errStopped
	}
	run, stop := context.WithCancel(context.Background())
	s.stop, s.grace, s.tell = stop, grace, tell
	tried := make(chan struct{})
	s.done.Go(func() { s.keepLease(run, tried) })
	s.done.Go(func() { s.doChores(run) })
	s.done.Go(func() { s.endGraces(run) })
	s.done.Go(func() { s.clients.Watch(run, redisrole.Group, s.log) })
	s.mu.Unlock()
	select {
	case <-tried:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Stop(context.WithoutCancel(ctx)))
	}
}

// Stop implements [presence.Store]. Another node sweeps what this one
// leaves, at once.
func (s *Store) Stop(ctx context.Context) error {
	return s.close(ctx, s.release)
}

// close ends what runs, and then gives up what this node has.
func (s *Store) close(ctx context.Context, giveUp func(context.Context)) error {
	s.mu.Lock()
	stop := s.stop
	s.stop, s.stopped = nil, true
	s.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.done.Wait()
		giveUp(ctx)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
	for _, c := range marked {
		if !c.Here && !c.Final {
			s.watch(c.GroupID, time.Now().Add(s.grace))
		}
	}
	results, err := s.write(ctx, self, marked)
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

// mayWrite refuses while this node may have been taken for dead: it may have
// stood still, and others have its users then.
func (s *Store) mayWrite(self identity) error {
	s.mu.Lock()
	lapsed := time.Since(s.renewed) > s.timing.lease
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
// write what a change has made untrue.
func (s *Store) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) give() { <-s.turn }

// List implements [presence.Store]. It fails at once while the server is
// known to be down.
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

// ask lets somebody who waits read the server, if it can be read.
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

// renewNow finds out what the state of the server is, and enters this node's
// users again.
func (s *Store) renewNow() {
	s.mu.Lock()
	s.doubt = true
	s.mu.Unlock()
	select {
	case s.poke <- struct{}{}:
	default:
	}
}
