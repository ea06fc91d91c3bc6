package redisrole

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// SetRenewEvery makes a registry renew more often than in production.
func SetRenewEvery(r *Registry, every time.Duration) { r.every = every }

// Nodes returns the ids of the live nodes of r's deployment on r's servers.
func Nodes(ctx context.Context, r *Registry) ([]string, error) {
	var nodes []string
	for _, s := range r.servers {
		members, err := redis.NewScript(nodesSource).Run(ctx, s.client, r.keys).StringSlice()
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			if node, ok := strings.CutPrefix(member, r.database+" "); ok {
				nodes = append(nodes, node)
			}
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes), nil
}

// VerifyAlways makes every call of Verify ask the server.
func VerifyAlways(c *Clients, role Role) { c.roles[role].tracker.validFor = 0 }

// Tracked returns how many connections of a role are open.
func Tracked(c *Clients, role Role) int {
	return len(c.roles[role].tracker.conns(func(*trackedConn) bool { return true }))
}
