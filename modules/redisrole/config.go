package redisrole

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// DefaultPrefix is the first part of every key and channel unless configured.
const DefaultPrefix = "moim"

// minHMAC is how many bytes a key must have: those of its hash.
const minHMAC = 32

// Config says which server each role uses. The zero value uses none: the node
// is embedded.
type Config struct {
	URL        string `key:"url" help:"shared Redis server of all roles: redis://, rediss://, redis+sentinel://h1,h2/master, redis+cluster://h1,h2; empty: none"`
	SocketURL  string `key:"socket.url" help:"dedicated Redis server of the socket role (between nodes); empty: shared"`
	GroupURL   string `key:"group.url" help:"dedicated Redis server of the group role (presence); empty: shared"`
	CacheURL   string `key:"cache.url" help:"dedicated Redis server of the cache role; empty: shared"`
	SocketHMAC string `key:"socket.hmac" secret:"true" help:"key of at least 32 bytes that nodes sign what they send each other with; empty: not signed"`

	Prefix string `key:"prefix" help:"first part of every key and channel; deployments on one server need different ones"`
}

// WithDefaults returns a copy whose unset fields hold their defaults.
func (c Config) WithDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	return c
}

// URLOf returns the URL of a role's own server, empty when it has none.
func (c Config) URLOf(role Role) string {
	switch role {
	case Socket:
		return c.SocketURL
	case Group:
		return c.GroupURL
	case Cache:
		return c.CacheURL
	}
	return ""
}

// Uses reports whether a role goes to Redis by this configuration.
func (c Config) Uses(role Role) bool { return c.URL != "" || c.URLOf(role) != "" }

// Validate reports every mistake, each naming its key. No message contains a
// URL, which may hold a password.
func (c Config) Validate() error { return c.ValidateWith() }

// ValidateWith is Validate for a program that hands in clients for the given
// roles.
func (c Config) ValidateWith(given ...Role) error {
	c = c.WithDefaults()
	var errs []error
	check := func(key, raw string) {
		if raw == "" {
			return
		}
		if _, err := parse(raw); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	check("redis.url", c.URL)
	for _, role := range Roles() {
		key := "redis." + string(role) + ".url"
		check(key, c.URLOf(role))
		if c.URLOf(role) != "" && slices.Contains(given, role) {
			errs = append(errs, fmt.Errorf("%s: a client is given for the %s role as well: use one of them", key, role))
		}
	}
	if n := len(c.SocketHMAC); n > 0 && n < minHMAC {
		errs = append(errs, fmt.Errorf("redis.socket.hmac: %d bytes are too few: make a random one of at least %d", n, minHMAC))
	}
	if !prefixPattern.MatchString(c.Prefix) {
		errs = append(errs, errors.New("redis.prefix: it takes 1 to 64 letters, digits and . _ - : / (and does not end in :)"))
	}
	uses := func(role Role) bool { return c.Uses(role) || slices.Contains(given, role) }
	if uses(Socket) != uses(Group) {
		with, without := Socket, Group
		if uses(Group) {
			with, without = Group, Socket
		}
		errs = append(errs, fmt.Errorf("redis.%[2]s.url: the %[1]s role goes to Redis and the %[2]s role does not: set redis.url or redis.%[2]s.url, "+
			"or take both off Redis (nodes that share events must share presence)", with, without))
	}
	return errors.Join(errs...)
}

// prefixPattern leaves out what means something in SCAN patterns and hash tags.
var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._:/-]{0,63}[A-Za-z0-9._/-]$`)
