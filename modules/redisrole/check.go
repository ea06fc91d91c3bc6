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
	scanPage     = 1000
	scanPages    = 200 // pages of keys looked at before the count is a lower bound
)

// Report is what is known of a role's server.
type Report struct {
	Role   Role
	Source Source
	Where  string // host:port/database
	TLS    bool

	// What only Check fills in.
	Topology  string // standalone, replica, cluster, sentinel; empty when the server does not say
	Version   string
	Eviction  string // maxmemory-policy, when maxmemory is set: keys may be thrown away
	RoundTrip time.Duration
	Keys      int64 // under the prefix
	KeysMore  bool  // there are more: the count was cut off

	// Deployments is how many nodes are live under the prefix, by the identity
	// of their database. More than one entry is a mistake: see [ForeignError].
	Deployments map[string]int

	Err error // why nothing else is known
}

// Describe reports every role, in order, without asking any server.
func (c *Clients) Describe() []Report {
	reports := make([]Report, 0, len(Roles()))
	for _, role := range Roles() {
		r := Report{Role: role, Source: c.Source(role), Where: c.Where(role)}
		switch client := c.Client(role).(type) {
		case *redis.Client:
			r.TLS = client.Options().TLSConfig != nil
		case *redis.ClusterClient:
			r.TLS = client.Options().TLSConfig != nil
		}
		reports = append(reports, r)
	}
	return reports
}

// Check reports every role, in order, and asks the servers. A server that does
// not answer costs at most five seconds.
func (c *Clients) Check(ctx context.Context) []Report {
	reports := c.Describe()
	for i := range reports {
		if reports[i].Source == None {
			continue
		}
		c.check(ctx, &reports[i])
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
		// The first includes connecting.
		if took := time.Since(began); i > 0 && (r.RoundTrip == 0 || took < r.RoundTrip) {
			r.RoundTrip = took
		}
	}
	// Hosted servers may refuse INFO: then these stay unknown.
	if info, err := client.Info(ctx).Result(); err == nil {
		r.readInfo(client, parseInfo(info))
	}
	if r.Deployments, r.Err = c.deployments(ctx, client); r.Err == nil {
		r.Keys, r.KeysMore, r.Err = countKeys(ctx, client, c.prefix+":*")
	}
}

func (c *Clients) deployments(ctx context.Context, client redis.UniversalClient) (map[string]int, error) {
	members, err := redis.NewScript(nodesSource).Run(ctx, client, []string{nodesKey(c.prefix)}, "").StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list live nodes: %w", err)
	}
	found := make(map[string]int)
	for _, m := range members {
		database, _ := splitMember(m)
		found[database]++
	}
	return found, nil
}

// Advice says what is wrong with a role's server, if anything is: one sentence
// each, with what to do.
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

// failoverAddr is the address that go-redis gives a client that asks Sentinels
// for the real one.
const failoverAddr = "FailoverClient"

// parseInfo reads the answer to INFO: lines of name:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// countKeys counts the keys that match a pattern, looking at a bounded number
// of keys; more says that it stopped early.
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
