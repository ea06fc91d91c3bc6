package redisrole

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"strings"
	"time"
)

const leaseTimeout = 2 * time.Second // limit of one call to one server

var (
	//go:embed lease.lua
	leaseSource string
	//go:embed nodes.lua
	nodesSource string
	//go:embed release.lua
	releaseSource string
)

// ForeignError reports live nodes of another deployment with the same prefix. They and this
// node would receive each other's events.
type ForeignError struct {
	Prefix   string
	Where    string // the server
	Database string // the identity of the other deployment's database
	Node     string // the id of one of its nodes
}

// Error implements error.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("another deployment (database %s, node %s) is live under prefix %q on %s: "+
		"give this one its own redis.prefix or the same database.url", e.Database, e.Node, e.Prefix, e.Where)
}

// nodesKey is the key of the sorted set of live nodes.
func nodesKey(prefix string) string { return prefix + ":nodes" }

// renew renews this node's lease on one server, and records whether nodes of another
// deployment are there. If the server does not answer, s.foreign stays unchanged.
func (r *Registry) renew(ctx context.Context, s *server, database string) error {
	call, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	answer, err := r.leaseScript.Run(call, s.client, r.keys, database, string(r.node), LeaseFor.Milliseconds()).Slice()
	if err == nil && len(answer) != 3 {
		err = fmt.Errorf("the answer has %d parts", len(answer))
	}
	s.mu.Lock()
	wasDown := s.down
	s.down = err != nil
	if err == nil {
		s.foreign = nil
		if others, ok := answer[1].([]any); ok && len(others) > 0 {
			member, _ := others[0].(string)
			database, node, _ := strings.Cut(member, " ")
			s.foreign = &ForeignError{Prefix: r.prefix, Where: s.name, Database: database, Node: node}
		}
	}
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil && !wasDown:
		r.log.WarnContext(ctx, "redisrole: cannot announce this node on a server; this is retried", "server", s.name, "err", err)
	case err == nil && answer[2] == int64(1):
		r.log.WarnContext(ctx, "redisrole: a key held what Moim did not write; it was replaced", "server", s.name, "key", r.keys[0])
	case err == nil && wasDown:
		r.log.InfoContext(ctx, "redisrole: this node is announced on a server again", "server", s.name)
	}
	if err != nil {
		return fmt.Errorf("announce the node: %w", err)
	}
	return nil
}

// release ends this node's lease on one server.
func (r *Registry) release(ctx context.Context, s *server, database string) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if err := r.releaseScript.Run(ctx, s.client, r.keys, database, string(r.node)).Err(); err != nil {
		r.log.DebugContext(ctx, "redisrole: could not release a lease; it will expire", "server", s.name, "err", err)
	}
}
