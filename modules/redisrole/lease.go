package redisrole

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// LeaseFor is how long a node counts as alive after its last renewal.
	LeaseFor = 10 * time.Second
	// RenewEvery is how often it renews.
	RenewEvery = 3 * time.Second

	leaseTimeout = 2 * time.Second // for one call to one server
)

var (
	//go:embed lease.lua
	leaseSource string
	//go:embed nodes.lua
	nodesSource string
	//go:embed release.lua
	releaseSource string
)

// nodesKey is the sorted set of live nodes: {prefix}:nodes.
func nodesKey(prefix string) string { return prefix + ":nodes" }

// ForeignError says that nodes of another deployment live under this one's
// prefix: they would receive each other's events.
type ForeignError struct {
	Prefix   string
	Where    string // the server
	Database string // the other deployment's database identity
	Node     string // one of its nodes
}

// Error implements error.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("another deployment (database %s, node %s) is live under prefix %q on %s: "+
		"give this one its own redis.prefix or the same database.url", e.Database, e.Node, e.Prefix, e.Where)
}

// Registry announces this node on every distinct server under a lease, and
// knows which other nodes are live. Time is the servers' own.
type Registry struct {
	key     string
	prefix  string
	node    NodeID
	log     *slog.Logger
	foreign func(error)
	every   time.Duration

	lease, nodes, release *redis.Script

	mu       sync.Mutex
	servers  []*leaseServer // sorted by name: all nodes ask in one order; never changed in place
	roles    map[Role]*leaseServer
	database string
	begin    func(*leaseServer) // keeps a lease; nil: not announced
	stop     context.CancelFunc
	stopped  bool
	done     sync.WaitGroup
}

// leaseServer is one distinct server.
type leaseServer struct {
	name   string
	client redis.UniversalClient

	uses    []Role
	cancel  context.CancelFunc // ends keeping the lease; nil: not begun
	group   bool               // it has the group role
	advised bool               // whether it may throw keys away was looked at

	mu      sync.Mutex
	down    bool
	foreign *ForeignError
}

// NewRegistry returns the registry of a node's servers. It does no I/O.
func NewRegistry(c *Clients, log *slog.Logger) *Registry {
	r := &Registry{
		key:     nodesKey(c.Prefix()),
		prefix:  c.Prefix(),
		node:    c.Node(),
		roles:   make(map[Role]*leaseServer),
		log:     log,
		foreign: func(error) {},
		every:   RenewEvery,
		lease:   redis.NewScript(leaseSource),
		nodes:   redis.NewScript(nodesSource),
		release: redis.NewScript(releaseSource),
	}
	byName := make(map[string]*leaseServer)
	for _, role := range Roles() {
		client := c.Client(role)
		if client == nil {
			continue
		}
		name := c.server(role)
		s := byName[name]
		if s == nil {
			s = &leaseServer{name: name, client: client}
			byName[name] = s
			r.servers = append(r.servers, s)
		}
		if !c.Dedicated(role) { // leave a role's own client alone where there is another
			s.client = client
		}
		s.group = s.group || role == Group
		s.uses = append(s.uses, role)
		r.roles[role] = s
	}
	slices.SortFunc(r.servers, func(a, b *leaseServer) int { return strings.Compare(a.name, b.name) })
	return r
}

// OnForeign makes fn run when nodes of another deployment are found after
// Announce, with a [*ForeignError], and with nil once they are gone. Calls do
// not overlap. Call it before Announce.
func (r *Registry) OnForeign(fn func(error)) { r.foreign = fn }

// Announce makes this node known on every server and keeps it so until Stop.
// It fails with a [*ForeignError], and announces nothing, when live nodes of
// another database are under the same prefix: of two deployments that start
// at once at least one is refused. A server that is down does not stop it: the
// node is announced there once it is back.
func (r *Registry) Announce(ctx context.Context, database string) error {
	r.mu.Lock()
	if r.database != "" || r.stopped {
		r.mu.Unlock()
		return errors.New("redisrole: announced already, or stopped")
	}
	r.database = database
	servers := r.servers
	r.mu.Unlock()
	for i, s := range servers {
		if err := r.renew(ctx, s, database); err != nil {
			r.log.Warn("redisrole: a server is down; this node announces itself there later", "server", s.name, "err", err)
		}
		if s.foreign != nil {
			for _, joined := range servers[:i+1] {
				r.leave(ctx, joined, database)
			}
			r.mu.Lock()
			r.database = ""
			r.mu.Unlock()
			return s.foreign
		}
	}
	for _, s := range servers {
		r.advise(ctx, s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return errors.New("redisrole: stopped")
	}
	run, stop := context.WithCancel(context.Background())
	r.stop = stop
	changed := make(chan struct{}, 1)
	r.begin = func(s *leaseServer) {
		run, stop := context.WithCancel(run)
		s.cancel = stop
		r.done.Go(func() { r.keep(run, s, database, changed) })
	}
	for _, s := range r.servers {
		r.begin(s)
	}
	r.done.Go(func() { r.report(run, changed) })
	return nil
}

// keep renews the lease on one server.
func (r *Registry) keep(ctx context.Context, s *leaseServer, database string, changed chan<- struct{}) {
	tasks.Every(ctx, r.every, nil, func() {
		s.mu.Lock()
		wasDown := s.down
		s.mu.Unlock()
		err := r.renew(ctx, s, database)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !wasDown:
			r.log.Warn("redisrole: the node's lease cannot be renewed", "server", s.name, "err", err)
		case err == nil && wasDown:
			r.log.Info("redisrole: the node's lease is renewed again", "server", s.name)
		}
		r.advise(ctx, s)
		select {
		case changed <- struct{}{}:
		default:
		}
	})
}

// advise warns, once, of a server that throws keys away although it has the
// group role: whoever's presence is evicted seems to be gone. A server that
// refuses to say is left alone.
func (r *Registry) advise(ctx context.Context, s *leaseServer) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if !s.group || s.advised || down {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	text, err := s.client.Info(ctx, "memory").Result()
	s.advised = true
	if err != nil {
		return
	}
	report := Report{Role: Group}
	report.readInfo(s.client, parseInfo(text))
	for _, advice := range report.Advice() {
		r.log.Warn("redisrole: a server should be set up differently", "server", s.name, "advice", advice)
	}
}

// report tells the owner when foreign nodes come and go.
func (r *Registry) report(ctx context.Context, changed <-chan struct{}) {
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		var found error
		for _, s := range r.known() {
			s.mu.Lock()
			if s.foreign != nil && found == nil {
				found = s.foreign
			}
			s.mu.Unlock()
		}
		if (found != nil) != told {
			told = found != nil
			r.foreign(found)
		}
	}
}

// renew announces this node on one server and notes what it finds there. A
// server that does not answer leaves what was known of others there as it is.
func (r *Registry) renew(ctx context.Context, s *leaseServer, database string) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	answer, err := r.lease.Run(ctx, s.client, []string{r.key}, database, string(r.node), LeaseFor.Milliseconds()).Slice()
	if err == nil && len(answer) != 2 {
		err = fmt.Errorf("an answer of %d parts", len(answer))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err != nil
	if err != nil {
		return fmt.Errorf("announce the node: %w", err)
	}
	s.foreign = nil
	if others, ok := answer[1].([]any); ok && len(others) > 0 {
		member, _ := others[0].(string)
		s.foreign = &ForeignError{Prefix: r.prefix, Where: s.name}
		s.foreign.Database, s.foreign.Node = splitMember(member)
	}
	return nil
}

// leave takes the lease on one server back.
func (r *Registry) leave(ctx context.Context, s *leaseServer, database string) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if err := r.release.Run(ctx, s.client, []string{r.key}, database, string(r.node)).Err(); err != nil {
		r.log.Debug("redisrole: the node's lease was not taken back; it runs out", "server", s.name, "err", err)
	}
}

// Nodes lists this deployment's live nodes, itself included, sorted: those
// announced on the servers of the given roles, or on any server without roles.
// It fails when one of those servers does not answer, or before Announce.
func (r *Registry) Nodes(ctx context.Context, roles ...Role) ([]string, error) {
	r.mu.Lock()
	database, servers, byRole := r.database, r.servers, maps.Clone(r.roles)
	r.mu.Unlock()
	if database == "" {
		return nil, errors.New("redisrole: this node is not announced")
	}
	if len(roles) > 0 {
		servers = nil
		for _, role := range roles {
			s := byRole[role]
			if s == nil {
				return nil, ErrNoRedis
			}
			servers = append(servers, s)
		}
	}
	var nodes []string
	for _, s := range servers {
		ids, err := r.nodes.Run(ctx, s.client, []string{r.key}, database).StringSlice()
		if err != nil {
			return nil, fmt.Errorf("list live nodes on %s: %w", s.name, err)
		}
		nodes = append(nodes, ids...)
	}
	slices.Sort(nodes)
	return slices.Compact(nodes), nil
}

// Stop takes the leases back and returns when nothing runs any more.
func (r *Registry) Stop(ctx context.Context) error {
	r.mu.Lock()
	stop, database := r.stop, r.database
	r.stop, r.stopped = nil, true
	r.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.done.Wait()
		var leaving sync.WaitGroup
		for _, s := range r.known() {
			leaving.Go(func() { r.leave(ctx, s, database) })
		}
		leaving.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// splitMember reads "<database> <node>".
func splitMember(member string) (database, node string) {
	database, node, _ = strings.Cut(member, " ")
	return database, node
}
