package redisrole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// ErrNoRedis means that a role does not use Redis.
var ErrNoRedis = errors.New("redisrole: this role does not use Redis")

// Clients holds the client of every role. It is safe for concurrent use.
type Clients struct {
	prefix string
	node   NodeID
	roles  map[Role]binding
	own    []redis.UniversalClient // the clients to close
}

// binding is the client that a role uses.
type binding struct {
	client redis.UniversalClient
	source Source
	where  string // address of its server: see [Clients.Where]
	server string // without the database number
	// duplicate returns a new client with the same settings. The tracker, which may be nil,
	// tracks its connections.
	duplicate func(*tracker) (redis.UniversalClient, error)
	tracker   *tracker // nil on clusters and rings
}

// New returns the clients for a configuration. given holds the clients of the embedding
// program. Roles without their own URL share one client. A role with its own URL has its
// own client, even if the address is the shared one. New does no I/O, so a server may be
// down.
func New(cfg Config, node NodeID, given map[Role]redis.UniversalClient) (*Clients, error) {
	cfg = cfg.WithDefaults()
	if node == "" || strings.ContainsFunc(string(node), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("redisrole: node id %q: it must not be empty or contain spaces or control characters", node)
	}
	var roles []Role
	for role, client := range given {
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("redisrole: a client is given for an unknown role %q", role)
		}
		if client == nil {
			return nil, fmt.Errorf("redisrole: the client given for the %s role is nil", role)
		}
		roles = append(roles, role)
	}
	if err := cfg.ValidateWith(roles...); err != nil {
		return nil, err
	}
	if _, ring := given[Socket].(*redis.Ring); ring {
		return nil, fmt.Errorf("redisrole: the client given for the socket role: %w", errNotDuplicable)
	}
	c := &Clients{prefix: cfg.Prefix, node: node, roles: make(map[Role]binding)}
	if err := c.bind(cfg, given); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Clients) bind(cfg Config, given map[Role]redis.UniversalClient) error {
	name := cfg.Prefix + ":" + string(c.node)
	var shared binding
	for _, role := range Roles() {
		switch {
		case given[role] != nil:
			c.roles[role] = bindGiven(given[role])
		case cfg.URLOf(role) != "":
			own, err := c.open(cfg.URLOf(role), name+":"+string(role), Dedicated)
			if err != nil {
				return fmt.Errorf("redis.%s.url: %w", role, err)
			}
			c.roles[role] = own
		case cfg.URL != "":
			if shared.client == nil {
				opened, err := c.open(cfg.URL, name, Shared)
				if err != nil {
					return fmt.Errorf("redis.url: %w", err)
				}
				shared = opened
			}
			c.roles[role] = shared
		}
	}
	return nil
}

func (c *Clients) open(raw, name string, source Source) (binding, error) {
	b := binding{source: source, tracker: newTracker()}
	client, at, err := open(raw, name, 1, b.tracker)
	if err != nil {
		return binding{}, err
	}
	client.AddHook(traceHook{})
	b.client, b.where, b.server = client, at.String(), at.server()
	c.own = append(c.own, client)
	if at.topology == cluster {
		b.tracker = nil
	}
	b.duplicate = func(t *tracker) (redis.UniversalClient, error) {
		client, _, err := open(raw, name, noRetries, t)
		return client, err
	}
	return b, nil
}

// bindGiven binds a client of the embedding program.
func bindGiven(client redis.UniversalClient) binding {
	name := nameOf(client)
	b := binding{client: client, source: Given, where: name, server: name}
	if single, ok := client.(*redis.Client); ok {
		b.tracker = newTracker()
		b.where = single.Options().Addr + "/" + strconv.Itoa(single.Options().DB)
	}
	b.duplicate = func(t *tracker) (redis.UniversalClient, error) { return duplicate(client, t) }
	return b
}

// Prefix returns the first part of every key and channel, without the colon
// that follows it.
func (c *Clients) Prefix() string { return c.prefix }

// Node returns this process's id.
func (c *Clients) Node() NodeID { return c.node }

// Uses reports whether a role uses Redis.
func (c *Clients) Uses(role Role) bool { return c.roles[role].client != nil }

// Client returns a role's client, or nil if the role does not use Redis. Do not
// close it: it belongs to Clients or to the embedding program.
func (c *Clients) Client(role Role) redis.UniversalClient { return c.roles[role].client }

// Source returns where a role's client comes from.
func (c *Clients) Source(role Role) Source { return c.roles[role].source }

// Dedicated reports whether a role's client has no other users. Then the role can subscribe
// with it and needs no duplicate.
func (c *Clients) Dedicated(role Role) bool { return c.Source(role) == Dedicated }

// Duplicate returns a new client with the settings of a role's client, except that it does
// not retry failed calls. The caller must close it. Duplicate returns [ErrNoRedis] if the
// role does not use Redis, and another error if the settings of a given client's type
// cannot be read.
func (c *Clients) Duplicate(role Role) (redis.UniversalClient, error) {
	b := c.roles[role]
	if b.client == nil {
		return nil, ErrNoRedis
	}
	return b.duplicate(b.tracker)
}

// Subscriber returns a client for a subscribing connection, and a function that closes it.
// It is the role's own client, or a duplicate if other roles or the embedding program share
// the role's client. Its errors are those of Duplicate.
func (c *Clients) Subscriber(role Role) (redis.UniversalClient, func() error, error) {
	if c.Dedicated(role) {
		return c.Client(role), func() error { return nil }, nil
	}
	duplicate, err := c.Duplicate(role)
	if err != nil {
		return nil, nil, err
	}
	return duplicate, duplicate.Close, nil
}

// Bounded returns a view of client, with the same connections, whose commands wait at most
// d. An embedding program's client may wait longer or ignore context deadlines. A client of
// a cluster or ring is returned unchanged.
func Bounded(client redis.UniversalClient, d time.Duration) redis.UniversalClient {
	c, single := client.(*redis.Client)
	if !single {
		return client
	}
	within := func(t time.Duration) bool { return 0 < t && t <= d }
	if o := c.Options(); within(o.ReadTimeout) && within(o.WriteTimeout) {
		return client
	}
	return c.WithTimeout(d)
}

// Health pings a role's server. It returns [ErrNoRedis] if the role does not use
// Redis.
func (c *Clients) Health(ctx context.Context, role Role) error {
	client := c.Client(role)
	if client == nil {
		return ErrNoRedis
	}
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping the %s role's redis: %w", role, err)
	}
	return nil
}

// Where returns the address of a role's server without credentials:
// host:port/database, master@sentinels/database, or some nodes of the cluster.
// It is empty if the role does not use Redis.
func (c *Clients) Where(role Role) string { return c.roles[role].where }

// On returns Clients in which one role has its own client on another server, and the other
// roles have none. It is used to move a role. The caller must close it. On returns an error
// if the URL is invalid.
func (c *Clients) On(role Role, url string) (*Clients, error) {
	other := &Clients{prefix: c.prefix, node: c.node, roles: make(map[Role]binding)}
	own, err := other.open(url, c.prefix+":"+string(c.node)+":"+string(role), Dedicated)
	if err != nil {
		return nil, fmt.Errorf("the %s role's server: %w", role, err)
	}
	other.roles[role] = own
	return other, nil
}

// server returns the address of a role's server without the database number,
// because pub/sub ignores that.
func (c *Clients) server(role Role) string { return c.roles[role].server }

// Clustered reports whether a role's client uses a cluster. There each key
// belongs to one slot, and channels are sharded.
func (c *Clients) Clustered(role Role) bool {
	_, ok := c.Client(role).(*redis.ClusterClient)
	return ok
}

// Close closes the clients except the given ones.
func (c *Clients) Close() error {
	var errs []error
	for _, client := range c.own {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// nameOf returns the address of a given client's server.
func nameOf(client redis.UniversalClient) string {
	switch client := client.(type) {
	case *redis.Client:
		if addr := client.Options().Addr; addr != failoverAddr {
			return addr
		}
		return fmt.Sprintf("sentinel %p", client) // go-redis does not expose the addresses
	case *redis.ClusterClient:
		return strings.Join(client.Options().Addrs, ",")
	case *redis.Ring:
		var addrs []string
		for _, addr := range client.Options().Addrs {
			addrs = append(addrs, addr)
		}
		slices.Sort(addrs)
		return strings.Join(addrs, ",")
	default:
		return fmt.Sprintf("%T", client)
	}
}

// LogTo redirects go-redis's log from standard error to log, at debug level. Call it from a
// program's main function, because it affects the whole process.
func LogTo(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redisrole: message of go-redis", "message", fmt.Sprintf(format, v...))
}
