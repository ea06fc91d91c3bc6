package redisrole

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// LeaseFor is how long a node counts as live after its last renewal.
	LeaseFor = 10 * time.Second
	// RenewEvery is how often a node renews its leases.
	RenewEvery = 3 * time.Second
)

// Registry announces this node with a lease on every distinct server, and finds nodes of
// other deployments there. Leases use the servers' clocks. It is safe for concurrent use.
type Registry struct {
	keys      []string
	prefix    string
	node      NodeID
	log       *slog.Logger
	onForeign func(error)
	every     time.Duration

	leaseScript, releaseScript *redis.Script

	renewals *tasks.Group
	renewed  chan struct{} // holds a value after a renewal

	mu        sync.Mutex
	servers   []*server // sorted by name, so that all nodes use the same order; never changed in place
	database  string    // empty before Announce
	announced bool      // leases are being renewed
}

// server is one distinct server.
type server struct {
	name   string
	client redis.UniversalClient

	uses    []Role             // guarded by Registry.mu
	cancel  context.CancelFunc // ends the renewals; nil before they start
	group   bool               // the group role uses it
	advised bool               // its eviction policy was checked

	mu      sync.Mutex
	down    bool
	foreign *ForeignError
}

// NewRegistry returns the registry of a node's servers. It does no I/O.
func NewRegistry(c *Clients, log *slog.Logger) *Registry {
	r := &Registry{
		keys:          []string{nodesKey(c.Prefix())},
		leaseScript:   redis.NewScript(leaseSource),
		releaseScript: redis.NewScript(releaseSource),
		prefix:        c.Prefix(),
		node:          c.Node(),
		log:           log,
		onForeign:     func(error) {},
		every:         RenewEvery,
		renewals:      tasks.New(),
		renewed:       make(chan struct{}, 1),
	}
	for _, role := range Roles() {
		client := c.Client(role)
		if client == nil {
			continue
		}
		s := r.find(c.server(role))
		if s == nil {
			s = &server{name: c.server(role), client: client}
			r.servers = append(r.servers, s)
		}
		if !c.Dedicated(role) { // prefer a shared or given client
			s.client = client
		}
		s.group = s.group || role == Group
		s.uses = append(s.uses, role)
	}
	slices.SortFunc(r.servers, byName)
	return r
}

func byName(a, b *server) int { return strings.Compare(a.name, b.name) }

// find returns the server with a name, or nil. The caller holds r.mu.
func (r *Registry) find(name string) *server {
	if i := slices.IndexFunc(r.servers, func(s *server) bool { return s.name == name }); i >= 0 {
		return r.servers[i]
	}
	return nil
}

// OnForeign registers fn. After Announce, the registry calls it with a [*ForeignError] when
// nodes of another deployment appear, and with nil when they are gone. Calls do not
// overlap. Call OnForeign before Announce.
func (r *Registry) OnForeign(fn func(error)) { r.onForeign = fn }

// Announce announces this node on every server, and renews its leases until Stop. database
// is the identity of this deployment's database.
//
// If live nodes of another database use the same prefix, Announce returns a [*ForeignError]
// and announces nothing. If two such deployments start at the same time, at least one of
// them fails. A server that is down is not an error: the node is announced there later.
func (r *Registry) Announce(ctx context.Context, database string) error {
	r.mu.Lock()
	if r.database != "" || r.stopped() {
		r.mu.Unlock()
		return errors.New("redisrole: already announced, or stopped")
	}
	r.database = database
	servers := r.servers
	r.mu.Unlock()
	for i, s := range servers {
		err := r.renew(ctx, s, database)
		if s.foreign != nil {
			for _, announced := range servers[:i+1] {
				r.release(ctx, announced, database)
			}
			r.mu.Lock()
			r.database = ""
			r.mu.Unlock()
			return s.foreign
		}
		if err == nil {
			r.adviseOnce(ctx, s)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announced = true
	for _, s := range r.servers {
		r.keepLocked(s)
	}
	if !r.renewals.Run(r.reportForeign) {
		return errors.New("redisrole: stopped")
	}
	return nil
}

func (r *Registry) stopped() bool { return r.renewals.Context().Err() != nil }

// keepLocked renews the lease on a server until s.cancel is called.
func (r *Registry) keepLocked(s *server) {
	ctx, cancel := context.WithCancel(r.renewals.Context())
	s.cancel = cancel
	database := r.database
	r.renewals.Run(func(context.Context) {
		tasks.Every(ctx, r.every, nil, func() {
			if r.renew(ctx, s, database) == nil {
				r.adviseOnce(ctx, s)
			}
			tasks.Wake(r.renewed)
		})
	})
}

// adviseOnce warns if the group role's server evicts keys, because a user whose presence is
// evicted appears offline. It does nothing if the server refuses INFO.
func (r *Registry) adviseOnce(ctx context.Context, s *server) {
	if !s.group || s.advised {
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
		r.log.WarnContext(ctx, "redisrole: change a server's configuration", "server", s.name, "advice", advice)
	}
}

// reportForeign calls onForeign when nodes of another deployment appear or disappear.
func (r *Registry) reportForeign(ctx context.Context) {
	reported := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.renewed:
		}
		r.mu.Lock()
		servers := r.servers
		r.mu.Unlock()
		var found error
		for _, s := range servers {
			s.mu.Lock()
			if s.foreign != nil && found == nil {
				found = s.foreign
			}
			s.mu.Unlock()
		}
		if (found != nil) != reported {
			reported = found != nil
			r.onForeign(found)
		}
	}
}

// Stop ends the renewals and releases the leases. It returns an error if ctx ends first.
func (r *Registry) Stop(ctx context.Context) error {
	if err := r.renewals.Stop(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	announced, servers, database := r.announced, r.servers, r.database
	r.announced = false
	r.mu.Unlock()
	if !announced {
		return nil
	}
	releases := tasks.New()
	for _, s := range servers {
		releases.Run(func(context.Context) { r.release(ctx, s, database) })
	}
	return releases.Finish(ctx)
}
