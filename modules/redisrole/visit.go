package redisrole

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// known returns the servers where this node is announced.
func (r *Registry) known() []*leaseServer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers
}

// Visit makes this node known on the server that c has for a role as well,
// until Leave: the role moves there. Before Announce it is left to that. It
// fails with a [*ForeignError], and announces nothing, when live nodes of
// another deployment are there. It fails as well when the server does not
// answer; the node is announced there once it does.
func (r *Registry) Visit(ctx context.Context, c *Clients, role Role) error {
	if s := r.visit(c, role, nil); s != nil {
		return nil
	}
	s := &leaseServer{name: c.server(role), client: c.Client(role), uses: []Role{role}, group: role == Group}
	r.mu.Lock()
	database := r.database
	r.mu.Unlock()
	var err error
	if database != "" {
		err = r.renew(ctx, s, database)
		if s.foreign != nil {
			r.leave(ctx, s, database)
			return fmt.Errorf("the %s role's new server: %w", role, s.foreign)
		}
		r.advise(ctx, s)
	}
	r.visit(c, role, s)
	return err
}

// visit notes that a role uses a server and returns it: the known one or, if
// there is none, a new one, which may be nil.
func (r *Registry) visit(c *Clients, role Role, s *leaseServer) *leaseServer {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := c.server(role)
	if i := slices.IndexFunc(r.servers, func(s *leaseServer) bool { return s.name == name }); i >= 0 {
		if known := r.servers[i]; !slices.Contains(known.uses, role) {
			known.uses = append(known.uses, role)
		}
		return r.servers[i]
	}
	if s == nil || r.stopped {
		return s
	}
	r.servers = append(slices.Clone(r.servers), s)
	slices.SortFunc(r.servers, func(a, b *leaseServer) int { return strings.Compare(a.name, b.name) })
	if r.begin != nil {
		r.begin(s)
	}
	return s
}

// Leave takes this node's lease on the server that c has for a role back,
// unless another role is there.
func (r *Registry) Leave(ctx context.Context, c *Clients, role Role) {
	name := c.server(role)
	r.mu.Lock()
	i := slices.IndexFunc(r.servers, func(s *leaseServer) bool { return s.name == name })
	if i < 0 {
		r.mu.Unlock()
		return
	}
	s := r.servers[i]
	if s.uses = slices.DeleteFunc(s.uses, func(u Role) bool { return u == role }); len(s.uses) > 0 {
		r.mu.Unlock()
		return
	}
	r.servers = slices.Delete(slices.Clone(r.servers), i, i+1)
	cancel, database := s.cancel, r.database
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		r.leave(ctx, s, database)
	}
}
