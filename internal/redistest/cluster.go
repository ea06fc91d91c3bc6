package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
)

const slots = 16384

// Cluster is a Redis cluster of masters that share the slots evenly, with one replica each.
type Cluster struct {
	Masters  []*Server
	Replicas []*Server // Replicas[i] is the replica of Masters[i] at the start

	tb testing.TB
}

// StartCluster runs a cluster until the test ends. If a master does not answer for a
// second, its replica replaces it.
func StartCluster(tb testing.TB, masters int) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for i := range 2 * masters {
		node := Start(tb, WithConfig("cluster-enabled yes"), WithConfig("cluster-config-file nodes.conf"),
			WithConfig("cluster-node-timeout 1000"), WithConfig("cluster-replica-validity-factor 0"),
			WithConfig(fmt.Sprintf("cluster-port %d", childtest.FreePort())), WithConfig("repl-diskless-sync-delay 0"))
		if i < masters {
			c.Masters = append(c.Masters, node)
		} else {
			c.Replicas = append(c.Replicas, node)
		}
	}
	ctx := tb.Context()
	for i, m := range c.Masters {
		c.must("give a master its slots", m.Client().ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err())
	}
	for _, node := range c.nodes()[1:] {
		c.meet(ctx, node)
	}
	for _, node := range c.nodes() {
		waittest.Until(tb, "every node knows all", func() bool {
			info := node.Client().ClusterInfo(ctx).Val()
			return strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", 2*masters)) && strings.Contains(info, "cluster_state:ok")
		})
	}
	for i, r := range c.Replicas {
		id := c.id(ctx, c.Masters[i])
		waittest.Until(tb, "the replica follows", func() bool { return r.Client().ClusterReplicate(ctx, id).Err() == nil })
		waittest.Until(tb, "the replica is in step", func() bool {
			return strings.Contains(r.Client().Info(ctx, "replication").Val(), "master_link_status:up")
		})
	}
	return c
}

func (c *Cluster) nodes() []*Server {
	return append(append([]*Server(nil), c.Masters...), c.Replicas...)
}

// meet introduces a node to the first one, which tells the others.
func (c *Cluster) meet(ctx context.Context, node *Server) {
	c.tb.Helper()
	bus := node.Client().ConfigGet(ctx, "cluster-port").Val()["cluster-port"]
	c.must("meet", c.Masters[0].Client().Do(ctx, "cluster", "meet", "127.0.0.1", portOf(node.Addr()), bus).Err())
}

func (c *Cluster) id(ctx context.Context, node *Server) string {
	c.tb.Helper()
	id, err := node.Client().ClusterMyID(ctx).Result()
	c.must("ask for a node's id", err)
	return id
}

// URL returns a URL with all masters.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Masters))
	for i, m := range c.Masters {
		addrs[i] = m.Addr()
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// MoveSlots moves slots with their keys from one master to another, like redis-cli's reshard.
func (c *Cluster) MoveSlots(from, to *Server, slots ...int) {
	c.tb.Helper()
	ctx := c.tb.Context()
	source, target := from.Client(), to.Client()
	fromID, toID := c.id(ctx, from), c.id(ctx, to)
	for _, slot := range slots {
		c.must("import", target.Do(ctx, "cluster", "setslot", slot, "importing", fromID).Err())
		c.must("migrate", source.Do(ctx, "cluster", "setslot", slot, "migrating", toID).Err())
		for {
			keys, err := source.ClusterGetKeysInSlot(ctx, slot, 100).Result()
			c.must("list keys", err)
			if len(keys) == 0 {
				break
			}
			args := []any{"migrate", "127.0.0.1", portOf(to.Addr()), "", 0, 5000, "keys"}
			for _, key := range keys {
				args = append(args, key)
			}
			c.must("move keys", source.Do(ctx, args...).Err())
		}
		for _, client := range []*redis.Client{target, source} {
			c.must("hand the slot over", client.Do(ctx, "cluster", "setslot", slot, "node", toID).Err())
		}
	}
}

// Owner returns the node that serves a key's slot.
func (c *Cluster) Owner(key string) *Server {
	c.tb.Helper()
	ctx := c.tb.Context()
	for _, node := range c.nodes() {
		err := node.Client().Exists(ctx, key).Err()
		if err == nil && strings.Contains(node.Client().Info(ctx, "replication").Val(), "role:master") {
			return node
		}
	}
	c.tb.Fatalf("redistest: no node serves %q", key)
	return nil
}

func (c *Cluster) must(doing string, err error) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatalf("redistest: cluster: %s: %v", doing, err)
	}
}
