package redisrole

import (
	"context"
	"fmt"
	"slices"
)

// Visit also announces this node on the server that c has for a role, because the role is
// moving there. This lasts until [Registry.Leave]. Before Announce, Visit only records the
// server.
//
// If live nodes of another deployment are on the server, Visit returns a [*ForeignError]
// and announces nothing. If the server does not answer, Visit returns an error, but the
// node is announced later, when the server is back.
func (r *Registry) Visit(ctx context.Context, c *Clients, role Role) error {
	s := &server{name: c.server(role), client: c.Client(role), uses: []Role{role}, group: role == Group}
	r.mu.Lock()
	known, database := r.useLocked(s.name, role), r.database
	r.mu.Unlock()
	if known {
		return nil
	}
	var err error
	if database != "" {
		err = r.renew(ctx, s, database)
		if s.foreign != nil {
			r.release(ctx, s, database)
			return fmt.Errorf("the %s role's new server: %w", role, s.foreign)
		}
		if err == nil {
			r.adviseOnce(ctx, s)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.useLocked(s.name, role) || r.stopped() { // another call was first
		return err
	}
	r.servers = append(slices.Clone(r.servers), s)
	slices.SortFunc(r.servers, byName)
	if r.announced {
		r.keepLocked(s)
	}
	return err
}

// useLocked records that a role uses a server. It returns false if the registry does not
// have the server.
func (r *Registry) useLocked(name string, role Role) bool {
	s := r.find(name)
	if s != nil && !slices.Contains(s.uses, role) {
		s.uses = append(s.uses, role)
	}
	return s != nil
}

// Leave releases this node's lease on the server that c has for a role, unless
// another role uses that server.
func (r *Registry) Leave(ctx context.Context, c *Clients, role Role) {
	if s, database := r.remove(c.server(role), role); s != nil && s.cancel != nil {
		s.cancel()
		r.release(ctx, s, database)
	}
}

// remove removes a role's use of a server. It returns the server if no other role uses it,
// or nil.
func (r *Registry) remove(name string, role Role) (removed *server, database string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.find(name)
	if s == nil {
		return nil, ""
	}
	s.uses = slices.DeleteFunc(s.uses, func(used Role) bool { return used == role })
	if len(s.uses) > 0 {
		return nil, ""
	}
	r.servers = slices.DeleteFunc(slices.Clone(r.servers), func(other *server) bool { return other == s })
	return s, r.database
}
