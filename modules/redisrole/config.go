package redisrole

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// DefaultPrefix is the first part of every key and channel unless configured.
const DefaultPrefix = "moim"

// Config says which server each role uses. The zero value uses none: the node
// is embedded.
type Config struct {
	URL       string `key:"url" help:"shared Redis server of all roles: redis:// or rediss://; empty: none"`
	SocketURL string `key:"socket.url" help:"dedicated Redis server of the socket role (between nodes); empty: shared"`
	GroupURL  string `key:"group.url" help:"dedicated Redis server of the group role (presence); empty: shared"`
	CacheURL  string `key:"cache.url" help:"dedicated Redis server of the cache role; empty: shared"`
	Prefix    string `key:"prefix" help:"first part of every key and channel; deployments on one server need different ones"`
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

// parse reads a server's URL. Its errors contain nothing of the URL but a
// scheme and option names: anything else could be part of a password.
func parse(raw string) (*redis.Options, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is not a URL (special characters in a password must be percent-encoded)")
	}
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return nil, errors.New("it names no host")
		}
		if !databasePattern.MatchString(u.Path) {
			return nil, errors.New("after the host there may only be a database number, such as /0")
		}
	case "unix":
	case "redis+sentinel", "redis+cluster", "rediss+sentinel", "rediss+cluster":
		return nil, fmt.Errorf("%s:// is not supported yet: use redis:// or rediss://", u.Scheme)
	case "":
		return nil, errors.New("it needs a scheme: redis://host:6379 or rediss://host:6379")
	default:
		return nil, fmt.Errorf("%s:// is not a Redis URL: use redis:// or rediss://", u.Scheme)
	}
	opt, err := redis.ParseURL(raw)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "redis: "))
	}
	return opt, nil
}

var databasePattern = regexp.MustCompile(`^(/[0-9]{0,5})?$`)
