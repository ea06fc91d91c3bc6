package redisrole

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	checkTimeout = 5 * time.Second // for each role
	scanPage     = 1000            // keys in each step of SCAN
	scanPages    = 200             // steps before the count becomes a lower bound
)

// Report describes a role's server.
type Report struct {
	Role   Role
	Source Source
	Where  string // see [Clients.Where]
	TLS    bool

	// The values below come from the server. They are zero if the role does not use Redis.
	Topology   string // standalone, replica, cluster or sentinel; empty if the server refuses INFO
	Version    string
	Eviction   string // maxmemory-policy; empty if maxmemory is not set
	RoundTrip  time.Duration
	ClockAhead time.Duration // offset of the server's clock, with an error of up to half a round trip
	Keys       int64         // number of keys under the prefix
	KeysMore   bool          // there are more than Keys

	// Deployments counts the live nodes under the prefix by their database's identity. More
	// than one entry is a mistake: see [ForeignError].
	Deployments map[string]int

	Err error // why the values above are missing
}

// Check returns a report for each role, in the order of [Roles]. It takes up to
// five seconds for a server that does not answer.
func (c *Clients) Check(ctx context.Context) []Report {
	reports := make([]Report, 0, len(Roles()))
	for _, role := range Roles() {
		r := Report{Role: role, Source: c.Source(role), Where: c.Where(role)}
		switch client := c.Client(role).(type) {
		case *redis.Client:
			r.TLS = client.Options().TLSConfig != nil
		case *redis.ClusterClient:
			r.TLS = client.Options().TLSConfig != nil
		}
		if r.Source != None {
			c.check(ctx, &r)
		}
		reports = append(reports, r)
	}
	return reports
}

func (c *Clients) check(ctx context.Context, r *Report) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	client := c.Client(r.Role)
	for i := range 4 {
		began := time.Now()
		if err := client.Ping(ctx).Err(); err != nil {
			r.Err = fmt.Errorf("ping: %w", err)
			return
		}
		// The first ping includes connecting, so it is not measured.
		if took := time.Since(began); i > 0 && (r.RoundTrip == 0 || took < r.RoundTrip) {
			r.RoundTrip = took
		}
	}
	if now, err := client.Time(ctx).Result(); err == nil {
		r.ClockAhead = time.Until(now)
	}
	// Hosted servers may refuse INFO.
	if info, err := client.Info(ctx).Result(); err == nil {
		r.readInfo(client, parseInfo(info))
	}
	if r.Deployments, r.Err = c.deployments(ctx, client); r.Err == nil {
		r.Keys, r.KeysMore, r.Err = countKeys(ctx, client, c.prefix+":*")
	}
}

func (c *Clients) deployments(ctx context.Context, client redis.UniversalClient) (map[string]int, error) {
	members, err := redis.NewScript(nodesSource).Run(ctx, client, []string{nodesKey(c.prefix)}).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list live nodes: %w", err)
	}
	found := make(map[string]int)
	for _, m := range members {
		database, _, _ := strings.Cut(m, " ")
		found[database]++
	}
	return found, nil
}

// Advice returns one sentence for each problem with a role's server, with what to do about
// it.
func (r *Report) Advice() []string {
	var advice []string
	if r.Role == Group && r.Eviction != "" && r.Eviction != "noeviction" {
		advice = append(advice, fmt.Sprintf("the group role's server evicts keys (%s), and presence with them: "+
			"set its maxmemory-policy to noeviction, or give the role a server of its own", r.Eviction))
	}
	if len(r.Deployments) > 1 {
		advice = append(advice, fmt.Sprintf("%d deployments are live under one prefix on the %s role's server (databases %s): "+
			"give each its own redis.prefix", len(r.Deployments), r.Role, strings.Join(slices.Sorted(maps.Keys(r.Deployments)), ", ")))
	}
	return advice
}

func (r *Report) readInfo(client redis.UniversalClient, info map[string]string) {
	r.Version = info["redis_version"]
	if info["maxmemory"] != "0" {
		r.Eviction = info["maxmemory_policy"]
	}
	r.Topology = info["redis_mode"]
	if info["role"] == "slave" {
		r.Topology = "replica"
	}
	if c, ok := client.(*redis.Client); ok && c.Options().Addr == failoverAddr {
		r.Topology = "sentinel"
	}
}

// failoverAddr is the address in the options of a go-redis client that uses Sentinels.
const failoverAddr = "FailoverClient"

// parseInfo parses the answer to INFO, which has lines of name:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// countKeys counts the keys that match a pattern. more means that it stopped early, so
// there are more than keys.
func countKeys(ctx context.Context, client redis.UniversalClient, pattern string) (keys int64, more bool, err error) {
	var count atomic.Int64
	var cut atomic.Bool
	one := func(ctx context.Context, c redis.Cmdable) error {
		var cursor uint64
		for range scanPages {
			page, next, err := c.Scan(ctx, cursor, pattern, scanPage).Result()
			if err != nil {
				return fmt.Errorf("count keys: %w", err)
			}
			count.Add(int64(len(page)))
			if cursor = next; cursor == 0 {
				return nil
			}
		}
		cut.Store(true)
		return nil
	}
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	case *redis.Ring:
		err = c.ForEachShard(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	default:
		err = one(ctx, client)
	}
	return count.Load(), cut.Load(), err
}
