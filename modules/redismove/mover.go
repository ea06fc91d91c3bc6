package redismove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// lookEvery is the interval at which a node reads the phases. It reports that it is
	// alive at every second read, and reports a new phase at once.
	lookEvery = time.Second
	// lookTimeout limits reading and entering the phases. The report has its own limit,
	// because a live node must always be able to report.
	lookTimeout = 5 * time.Second
)

// Mover makes this node's parts enter the phases that an operator's Leader sets. Start it
// before the parts.
type Mover struct {
	store   store
	clients *redisrole.Clients
	secret  atomic.Pointer[Secret]
	log     *slog.Logger
	tasks   *tasks.Group
	every   time.Duration       // interval of reads
	visits  *redisrole.Registry // nil if this node is not announced

	parts   map[redisrole.Role]Part
	entered map[redisrole.Role]Phase // the last phase that each part has entered
	reached map[redisrole.Role]reached
	told    map[redisrole.Role]reached // the last report; nil if a new one is due
	at      map[redisrole.Role]string  // name of the server in use

	mu     sync.Mutex
	states map[redisrole.Role]State
	opened map[string]*redisrole.Clients // clients of servers that are not in the configuration, by role and name
}

// New returns the mover of the node with these clients. It does no I/O.
func New(db *database.DB, clients *redisrole.Clients, secret Secret, log *slog.Logger) *Mover {
	m := &Mover{
		store:   store{db},
		clients: clients,
		log:     log,
		tasks:   tasks.New(),
		every:   lookEvery,
		parts:   make(map[redisrole.Role]Part),
		entered: make(map[redisrole.Role]Phase),
		reached: make(map[redisrole.Role]reached),
		at:      make(map[redisrole.Role]string),
		states:  make(map[redisrole.Role]State),
		opened:  make(map[string]*redisrole.Clients),
	}
	m.SetSecret(secret)
	return m
}

// SetSecret replaces the secret. It decrypts the servers' URLs of later phases.
func (m *Mover) SetSecret(s Secret) { m.secret.Store(&s) }

// Add sets the part of a role. Call it before Start.
func (m *Mover) Add(role redisrole.Role, part Part) {
	m.parts[role] = part
	m.at[role] = m.clients.Where(role)
}

// Announce makes the mover register the node with r on the servers to which roles move.
// Call it before Start.
func (m *Mover) Announce(r *redisrole.Registry) { m.visits = r }

// Start makes the parts enter the current phases, and then follows the moves until Stop.
func (m *Mover) Start(ctx context.Context) error {
	if len(m.parts) == 0 {
		return nil
	}
	// After this report, no phase begins without this node.
	if err := m.store.report(ctx, string(m.clients.Node()), m.reached); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	m.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, m.every, nil, func() {
			if err := m.look(ctx); err != nil && ctx.Err() == nil {
				m.log.Debug("redismove: the moves cannot be read", "err", err)
			}
		})
	})
	return nil
}

// Stop stops the mover and closes the clients that it opened. Stop the parts first.
func (m *Mover) Stop(ctx context.Context) error {
	if len(m.parts) == 0 {
		return nil
	}
	err := m.tasks.Stop(ctx)
	if left := m.store.leave(ctx, string(m.clients.Node())); err == nil {
		err = left
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.opened {
		_ = c.Close()
	}
	clear(m.opened)
	return err
}

// look reads the moves, follows them and reports. If the moves cannot be read, the parts
// stay in their phases.
func (m *Mover) look(ctx context.Context) error {
	if err := m.followAll(ctx); err != nil {
		return err
	}
	if m.told != nil && maps.Equal(m.told, m.reached) {
		m.told = nil
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now := maps.Clone(m.reached)
	if err := m.store.report(ctx, string(m.clients.Node()), now); err != nil {
		return err
	}
	m.told = now
	return nil
}

func (m *Mover) followAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	moves, err := m.store.moves(ctx)
	if err != nil {
		return err
	}
	for _, move := range moves {
		part := m.parts[move.Role]
		was := m.reached[move.Role]
		if was == (reached{Move: move.ID, Phase: move.Phase}) {
			continue
		}
		now := reached{Move: move.ID, Phase: move.Phase}
		switch err := m.follow(ctx, part, move); {
		case errors.Is(err, ErrNotYet):
			now.Waits = err.Error()
		case err != nil:
			now.Error = err.Error()
		}
		if now != was {
			m.log.InfoContext(ctx, "redismove: a role moves", "role", move.Role, "phase", move.Phase.String(),
				"from", move.Source, "to", move.Target, "err", now.Error, "waits", now.Waits)
		}
		m.reached[move.Role] = now
		m.show(move.Role, State{Where: m.at[move.Role], Phase: m.entered[move.Role]})
	}
	return nil
}

// State is the state of a role on this node.
type State struct {
	Where string // the server in use, without credentials
	Phase Phase  // phase of the last move
}

// State returns the state of a role. It is zero if the role does not use Redis.
func (m *Mover) State(role redisrole.Role) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if state, moved := m.states[role]; moved {
		return state
	}
	return State{Where: m.clients.Where(role)}
}

func (m *Mover) show(role redisrole.Role, state State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[role] = state
}

// follow makes a part enter the phase of a move.
func (m *Mover) follow(ctx context.Context, part Part, move Move) error {
	if part == nil {
		return fmt.Errorf("this node's %s role does not use Redis, or the program that embeds it provides the role", move.Role)
	}
	at := m.at[move.Role]
	switch {
	case at != move.Source && at != move.Target && move.Phase == Moved:
		m.log.WarnContext(ctx, "redismove: the role was moved, but the configuration names a server that the move does not know: the node uses the configured one",
			"role", move.Role, "configured", at, "moved", move.Target)
		return nil
	case at != move.Source && at != move.Target:
		return fmt.Errorf("this node uses %s", at)
	case at == move.Target && move.Phase == Moved:
		return nil // the configured server is in use already
	}
	from, err := m.server(move, move.Source, move.sourceURL)
	if err != nil {
		return err
	}
	to, err := m.server(move, move.Target, move.targetURL)
	if err != nil {
		return err
	}
	if err := m.visit(ctx, move, from, to); err != nil {
		return err
	}
	step := Step{Phase: move.Phase, Forward: move.Phase > m.entered[move.Role], From: from, To: to}
	if err := step.check(ctx, move.Role); err != nil {
		return err
	}
	if err := part.Enter(ctx, step); err != nil {
		return err
	}
	m.entered[move.Role] = move.Phase
	if move.Phase != Settled && move.Phase != Moved {
		return nil
	}
	m.at[move.Role] = move.Server()
	if left := map[Phase]*redisrole.Clients{Settled: to, Moved: from}; m.visits != nil {
		m.visits.Leave(ctx, left[move.Phase], move.Role)
	}
	if move.MovedFrom(m.clients.Where(move.Role)) {
		m.log.WarnContext(ctx, "redismove: the role was moved, but the configuration still names the old server: change it",
			"key", fmt.Sprintf("redis.%s.url", move.Role), "server", move.Server())
	}
	return nil
}

// visit announces this node on the servers of a phase. On a server that does not answer,
// the node is announced later.
func (m *Mover) visit(ctx context.Context, move Move, from, to *redisrole.Clients) error {
	if m.visits == nil {
		return nil
	}
	servers := []*redisrole.Clients{from, to}
	switch move.Phase {
	case Settled:
		servers = servers[:1]
	case Moved:
		servers = servers[1:]
	case Joined, Both, Leaving:
	}
	for _, c := range servers {
		if err := m.visits.Visit(ctx, c, move.Role); errors.As(err, new(*redisrole.ForeignError)) {
			return err
		}
	}
	return nil
}

// server returns the clients for a move's server. If the configuration has that server,
// these are the node's own clients.
func (m *Mover) server(move Move, name, sealed string) (*redisrole.Clients, error) {
	if m.clients.Where(move.Role) == name {
		return m.clients, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := string(move.Role) + " " + name
	if c := m.opened[key]; c != nil {
		return c, nil
	}
	url, err := m.secret.Load().open(sealed, move.ID)
	if err != nil {
		return nil, err
	}
	c, err := m.clients.On(move.Role, url)
	if err != nil {
		return nil, err
	}
	m.opened[key] = c
	return c, nil
}
