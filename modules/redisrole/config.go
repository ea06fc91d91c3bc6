package redisrole

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// DefaultPrefix is the first part of every key and channel if none is configured.
const DefaultPrefix = "moim"

// minHMAC is the minimum length of a key in bytes: the size of a SHA-256 hash.
const minHMAC = 32

// Values of [Config].SocketHMAC that are not keys.
const (
	SigningOff      = "off"      // messages are not signed
	SigningOptional = "optional" // messages are signed, but unsigned ones are accepted
)

// Config sets the server of each role. The zero value uses no Redis.
type Config struct {
	URL        string `key:"url" help:"Redis server that all roles share: redis://, rediss://, redis+sentinel://h1,h2/master or redis+cluster://h1,h2; empty: none"`
	SocketURL  string `key:"socket.url" help:"dedicated Redis server for the socket role (messages between nodes); empty: redis.url"`
	GroupURL   string `key:"group.url" help:"dedicated Redis server for the group role (presence); empty: redis.url"`
	CacheURL   string `key:"cache.url" help:"dedicated Redis server for the cache role (group records); empty: redis.url"`
	SocketHMAC string `key:"socket.hmac" secret:"true" help:"key of at least 32 bytes that signs messages between nodes; empty: a key in the database; optional: the same, but nodes also accept unsigned messages, for an upgrade; off: no signatures"`

	Prefix string `key:"prefix" help:"first part of every Redis key and channel; deployments that share a server need different prefixes"`
}

// WithDefaults returns a copy whose unset fields hold their defaults.
func (c Config) WithDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	return c
}

// URLOf returns the URL of a role's dedicated server, or "" if it has none.
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

// Uses reports whether the configuration has a server for a role.
func (c Config) Uses(role Role) bool { return c.URL != "" || c.URLOf(role) != "" }

// Validate returns all mistakes, each with its key. The messages contain no URL, because a
// URL may contain a password.
func (c Config) Validate() error { return c.ValidateWith() }

// ValidateWith is Validate for a program that has its own clients for the given roles.
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
	if n := len(c.SocketHMAC); n < minHMAC && !slices.Contains([]string{"", SigningOff, SigningOptional}, c.SocketHMAC) {
		errs = append(errs, fmt.Errorf("redis.socket.hmac: %d bytes are too few: make a random one of at least %d, or leave it empty", n, minHMAC))
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

// prefixPattern excludes characters that have a meaning in SCAN patterns and hash tags.
var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._:/-]{0,63}[A-Za-z0-9._/-]$`)
