package redisrole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// ErrNoRedis says that a role does not use Redis.
var ErrNoRedis = errors.New("redisrole: this role does not use Redis")

// Clients holds the client of every role. It is safe for concurrent use.
type Clients struct {
	prefix string
	node   NodeID
	roles  map[Role]binding
	own    []redis.UniversalClient // made here, so closed here
}

// binding is what a role uses.
type binding struct {
	client redis.UniversalClient
	source Source
	at     target                                // of a client that was made here
	again  func() (redis.UniversalClient, error) // another client like this one
	links  *links                                // nil: not known
}

// New makes the clients that a configuration asks for; given holds those that
// the embedding program already has. Roles without a URL of their own share
// one client; a role with one has a client of its own even where the address
// is the shared one. New does no I/O: a server may be down.
func New(cfg Config, node NodeID, given map[Role]redis.UniversalClient) (*Clients, error) {
	cfg = cfg.WithDefaults()
	if node == "" || strings.ContainsFunc(string(node), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("redisrole: node id %q: it is empty or holds a space or a control character", node)
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
			c.roles[role] = handedIn(given[role])
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
	l := newLinks()
	client, at, err := open(raw, name, l)
	if err != nil {
		return binding{}, err
	}
	c.own = append(c.own, client)
	again := func() (redis.UniversalClient, error) {
		client, _, err := open(raw, name, l)
		return client, err
	}
	if at.topology == cluster {
		return binding{client: client, source: source, at: at, again: again}, nil
	}
	l.once = func() (*redis.Client, error) {
		client, _, err := open(raw, name, nil)
		if err != nil {
			return nil, err
		}
		one, _ := client.(*redis.Client)
		return one, nil
	}
	return binding{client: client, source: source, at: at, again: again, links: l}, nil
}

// handedIn binds a client that the embedding program has.
func handedIn(client redis.UniversalClient) binding {
	b := binding{client: client, source: Given, links: newLinks()}
	b.again = func() (redis.UniversalClient, error) { return duplicate(client, b.links) }
	if _, single := client.(*redis.Client); !single {
		b.links = nil
		return b
	}
	b.links.once = func() (*redis.Client, error) {
		again, err := duplicate(client, nil)
		if err != nil {
			return nil, err
		}
		one, _ := again.(*redis.Client)
		return one, nil
	}
	return b
}

// Prefix returns the first part of every key and channel, without the colon
// that follows it.
func (c *Clients) Prefix() string { return c.prefix }

// Node returns this process's id.
func (c *Clients) Node() NodeID { return c.node }

// Uses reports whether a role uses Redis.
func (c *Clients) Uses(role Role) bool { return c.roles[role].client != nil }

// Client returns a role's client, or nil when the role does not use Redis. It
// belongs to Clients, or to the embedding program: do not close it.
func (c *Clients) Client(role Role) redis.UniversalClient { return c.roles[role].client }

// Source says where a role's client comes from.
func (c *Clients) Source(role Role) Source { return c.roles[role].source }

// Dedicated reports whether the role has a client that nobody else uses, so
// that it may subscribe with it directly instead of with a duplicate.
func (c *Clients) Dedicated(role Role) bool { return c.Source(role) == Dedicated }

// Duplicate returns a new client with the settings of a role's client. The
// caller closes it. It fails with [ErrNoRedis] when the role does not use
// Redis, and for a client whose settings cannot be read.
func (c *Clients) Duplicate(role Role) (redis.UniversalClient, error) {
	again := c.roles[role].again
	if again == nil {
		return nil, ErrNoRedis
	}
	return again()
}

// Health asks a role's server for a sign of life. It fails with [ErrNoRedis]
// when the role does not use Redis.
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

// Where names a role's server: host:port/database, the Sentinels and the name
// that they know the master by, or nodes of the cluster; never a password. It
// is empty when the role does not use Redis.
func (c *Clients) Where(role Role) string {
	b := c.roles[role]
	if len(b.at.addrs) > 0 {
		return b.at.String()
	}
	switch client := b.client.(type) {
	case nil:
		return ""
	case *redis.Client:
		return client.Options().Addr + "/" + strconv.Itoa(client.Options().DB)
	default:
		return nameOf(client)
	}
}

// On returns clients of which one role has one of its own, on another server,
// and the others have none: for a role that moves there. The caller closes
// them. It fails for a URL that is none.
func (c *Clients) On(role Role, url string) (*Clients, error) {
	other := &Clients{prefix: c.prefix, node: c.node, roles: make(map[Role]binding)}
	own, err := other.open(url, c.prefix+":"+string(c.node)+":"+string(role), Dedicated)
	if err != nil {
		return nil, fmt.Errorf("the %s role's server: %w", role, err)
	}
	other.roles[role] = own
	return other, nil
}

// server names a role's server apart from its database number, which pub/sub
// ignores.
func (c *Clients) server(role Role) string {
	b := c.roles[role]
	if len(b.at.addrs) > 0 {
		return b.at.server()
	}
	return nameOf(b.client)
}

// Clustered reports whether the role's client talks to a cluster, in which
// each key has one slot, and channels are sharded.
func (c *Clients) Clustered(role Role) bool {
	_, ok := c.Client(role).(*redis.ClusterClient)
	return ok
}

// Close closes the clients that New made. Given ones stay open.
func (c *Clients) Close() error {
	var errs []error
	for _, client := range c.own {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// nameOf names the server of a client that was made elsewhere.
func nameOf(client redis.UniversalClient) string {
	switch client := client.(type) {
	case *redis.Client:
		if addr := client.Options().Addr; addr != failoverAddr {
			return addr
		}
		return fmt.Sprintf("sentinel %p", client) // it does not tell more
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

// LogTo makes go-redis report to log, at debug level, instead of writing to
// standard error. It is for a program's main function: the setting is one for
// the whole process.
func LogTo(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redisrole: go-redis says", "message", fmt.Sprintf(format, v...))
}
