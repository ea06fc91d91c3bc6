// Package config is the document that configures a node: defaults, then a
// file, then the environment, then flags. Each module's own Config struct is a
// section of it; the keys are derived from the key tags of their fields.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

// Config is everything that an operator sets.
type Config struct {
	HTTP     web.Config       `key:"http"`
	Data     Data             `key:"data"`
	Database database.Config  `key:"database"`
	Redis    redisrole.Config `key:"redis"`
	Auth     auth.Config      `key:"auth"`
	Group    group.Config     `key:"group"`
	Socket   socket.Config    `key:"socket"`
	Cache    cache.Config     `key:"cache"`
	Drain    Drain            `key:"drain"`
	Log      Log              `key:"log"`

	sources map[string]string // of the values that are not defaults, by key
}

// Data says where files go.
type Data struct {
	Dir string `key:"dir" help:"where the embedded database and the development secret live"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (d Data) WithDefaults() Data {
	d.Dir = cmp.Or(d.Dir, "./data")
	return d
}

// Drain says how a node goes.
type Drain struct {
	Deadline time.Duration `key:"deadline" help:"from SIGTERM to exit, at most"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (d Drain) WithDefaults() Drain {
	d.Deadline = cmp.Or(d.Deadline, 20*time.Second)
	return d
}

// Validate reports a deadline out of bounds.
func (d Drain) Validate() error {
	if d.Deadline < time.Second || d.Deadline > time.Hour {
		return fmt.Errorf("drain.deadline: must be between 1s and 1h, not %v", d.Deadline)
	}
	return nil
}

// Log says what is logged, and how.
type Log struct {
	Level  string `key:"level" help:"debug, info, warn or error"`
	Format string `key:"format" help:"text or json; empty: text on a terminal, else json"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (l Log) WithDefaults() Log {
	l.Level = cmp.Or(l.Level, "info")
	return l
}

// Validate reports all mistakes at once.
func (l Log) Validate() error {
	var errs []error
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level) {
		errs = append(errs, errors.New("log.level: must be debug, info, warn or error"))
	}
	if !slices.Contains([]string{"", "text", "json"}, l.Format) {
		errs = append(errs, errors.New("log.format: must be text or json, or empty"))
	}
	return errors.Join(errs...)
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.HTTP = c.HTTP.WithDefaults()
	c.Data = c.Data.WithDefaults()
	c.Database = c.Database.WithDefaults()
	c.Redis = c.Redis.WithDefaults()
	c.Auth = c.Auth.WithDefaults()
	c.Group = c.Group.WithDefaults()
	c.Socket = c.Socket.WithDefaults()
	c.Cache = c.Cache.WithDefaults()
	c.Drain = c.Drain.WithDefaults()
	c.Log = c.Log.WithDefaults()
	return c
}

// Validate reports every mistake of every section, and what contradicts
// between them. given are the roles for which a program hands in Redis clients
// of its own.
func (c Config) Validate(given ...redisrole.Role) error {
	c = c.WithDefaults()
	return errors.Join(
		c.HTTP.Validate(),
		c.Database.Validate(),
		c.Redis.ValidateWith(given...),
		c.Auth.Validate(),
		c.Group.Validate(),
		c.Socket.Validate(),
		c.Cache.Validate(),
		c.Drain.Validate(),
		c.Log.Validate(),
		c.checkAdapter(given),
		c.checkAddr(),
	)
}

// SocketsUseRedis reports whether events travel between nodes over Redis.
// given are the roles for which a program hands in clients of its own.
func (c Config) SocketsUseRedis(given ...redisrole.Role) bool {
	if c.Socket.Adapter != "" {
		return c.Socket.Adapter == socket.AdapterRedis
	}
	return c.Redis.Uses(redisrole.Socket) || slices.Contains(given, redisrole.Socket)
}

func (c Config) checkAdapter(given []redisrole.Role) error {
	uses := func(role redisrole.Role) bool { return c.Redis.Uses(role) || slices.Contains(given, role) }
	switch {
	case c.Socket.Adapter == socket.AdapterRedis && !uses(redisrole.Socket):
		return errors.New("socket.adapter: it is redis, and the socket role has no server: set redis.url or redis.socket.url")
	case c.Socket.Adapter == socket.AdapterMemory && uses(redisrole.Group):
		return errors.New("socket.adapter: it is memory, and the group role uses Redis: sockets and groups both go to Redis or neither does")
	}
	return nil
}

// checkAddr keeps a node whose tokens anyone with its data directory can make
// from being reached by others.
func (c Config) checkAddr() error {
	host, _, malformed := net.SplitHostPort(c.HTTP.Addr) // the HTTP section reports that
	if c.Auth.Empty() && malformed == nil && !isLoopback(host) {
		return errNoKey
	}
	return nil
}

var errNoKey = errors.New("http.addr: without any auth key only a loopback address (127.0.0.1:8080) is allowed: " +
	"set auth.secret, auth.jwks.url or auth.public.key to listen on others")

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
