// Package config loads the configuration of a node with [Load]: defaults, then a file, then
// the environment, then flags. Each module's Config struct is a section of [Config]. The
// key tags of the fields are the keys.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/console"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

// Config holds all settings of an operator.
type Config struct {
	HTTP      web.Config       `key:"http"`
	Data      Data             `key:"data"`
	Database  database.Config  `key:"database"`
	Redis     redisrole.Config `key:"redis"`
	Auth      auth.Config      `key:"auth"`
	Group     group.Config     `key:"group"`
	Socket    socket.Config    `key:"socket"`
	Cache     cache.Config     `key:"cache"`
	Limit     limit.Config     `key:"limit"`
	Audit     audit.Config     `key:"audit"`
	Hook      hook.Config      `key:"hook"`
	Authorize authorize.Config `key:"authorize"`
	Console   console.Config   `key:"console"`
	Node      Node             `key:"node"`
	Drain     Drain            `key:"drain"`
	Log       Log              `key:"log"`
	Metrics   Metrics          `key:"metrics"`
	Debug     Debug            `key:"debug"`

	Hooks []hook.Listed // only from the file

	sources map[string]string // sources of the values that are not defaults, by key
}

// Data configures where files are stored.
type Data struct {
	Dir string `key:"dir" help:"directory of the SQLite database and the development secret"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (d Data) WithDefaults() Data {
	d.Dir = cmp.Or(d.Dir, "./data")
	return d
}

// Node configures a node's address for other nodes.
type Node struct {
	URL string `key:"url" help:"where other nodes reach this node, such as http://HOST:PORT; nodes forward polling requests to the node of the session; empty: no forwarding"`
}

// Drain configures how a node shuts down.
type Drain struct {
	Deadline time.Duration `key:"deadline" help:"longest time from SIGTERM to exit"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (d Drain) WithDefaults() Drain {
	d.Deadline = cmp.Or(d.Deadline, 20*time.Second)
	return d
}

// Validate returns an error if the deadline is out of range.
func (d Drain) Validate() error {
	if d.Deadline < time.Second || d.Deadline > time.Hour {
		return fmt.Errorf("drain.deadline: must be between 1s and 1h, not %v", d.Deadline)
	}
	return nil
}

// Log configures the log.
type Log struct {
	Level  string `key:"level" help:"lowest level that is logged: debug, info, warn or error"`
	Format string `key:"format" help:"log format: text or json; empty: text on a terminal, otherwise json"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (l Log) WithDefaults() Log {
	l.Level = cmp.Or(l.Level, "info")
	return l
}

// Validate returns all mistakes.
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

// Metrics configures the address of the metrics.
type Metrics struct {
	Addr string `key:"addr" help:"listen address of /metrics; empty: the address of http.addr"`
}

// Debug configures the profiles of a node.
type Debug struct {
	Addr   string `key:"addr" help:"listen address of Go's profiles, at /debug/pprof/; a loopback address unless debug.public is set; empty: no profiles"`
	Public bool   `key:"public" help:"whether debug.addr may be an address that other machines reach. Profiles need no token and can show data in memory"`
}

// checkListeners returns errors for unusable addresses.
func (c Config) checkListeners() error {
	var errs []error
	taken := map[string]string{c.HTTP.Addr: "http.addr"}
	for _, l := range []struct{ key, addr string }{{"metrics.addr", c.Metrics.Addr}, {"debug.addr", c.Debug.Addr}} {
		host, port, malformed := net.SplitHostPort(l.addr)
		switch other := taken[l.addr]; {
		case l.addr == "":
			continue
		case malformed != nil:
			errs = append(errs, fmt.Errorf("%s: it must be host:port, such as 127.0.0.1:9100", l.key))
		case other != "" && port != "0":
			errs = append(errs, fmt.Errorf("%s: it is the same as %s, which needs a port of its own", l.key, other))
		case l.key == "debug.addr" && !c.Debug.Public && !origins.LoopbackHost(host):
			errs = append(errs, errors.New("debug.addr: it must be a loopback address such as 127.0.0.1:6060, because profiles need no token "+
				"and show what is in memory: to listen on another address, set debug.public"))
		}
		taken[l.addr] = l.key
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
	c.Socket.NodeURL = c.Node.URL
	c.Cache = c.Cache.WithDefaults()
	c.Limit = c.Limit.WithDefaults()
	c.Console = c.Console.WithDefaults()
	c.Audit = c.Audit.WithDefaults()
	c.Authorize = c.Authorize.WithDefaults()
	c.Authorize.Private = c.Hook.Private
	c.Drain = c.Drain.WithDefaults()
	c.Log = c.Log.WithDefaults()
	return c
}

// Validate returns all mistakes in all sections, and contradictions between sections. given
// are the roles for which the program passes its own Redis clients.
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
		c.Limit.Validate(),
		c.Audit.Validate(),
		hook.ValidateAll(c.Hooks),
		c.Authorize.Validate(),
		c.Drain.Validate(),
		c.Log.Validate(),
		c.checkAdapter(given),
		c.checkAddr(),
		c.checkListeners(),
	)
}

// SocketsUseRedis reports whether Redis carries events between nodes. given are
// the roles for which the program passes its own Redis clients.
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
		return errors.New("socket.adapter: it is redis, but the socket role has no server: set redis.url or redis.socket.url")
	case c.Socket.Bridge == socket.BridgeRedisAdapter && !uses(redisrole.Socket):
		return errors.New("socket.bridge: the socket role has no server to share with Node servers: set redis.url or redis.socket.url")
	case c.Socket.Adapter == socket.AdapterMemory && uses(redisrole.Group):
		return errors.New("socket.adapter: it is memory, but the group role uses Redis: use Redis for both, or for neither")
	}
	return nil
}

// checkAddr refuses a public address without an auth key: anyone who can read
// the development secret could sign tokens for any user.
func (c Config) checkAddr() error {
	host, _, malformed := net.SplitHostPort(c.HTTP.Addr) // the HTTP section reports a malformed address
	if c.Auth.Empty() && malformed == nil && !origins.LoopbackHost(host) {
		return errNoKey
	}
	return nil
}

var errNoKey = errors.New("http.addr: without any auth key it must be a loopback address such as 127.0.0.1:8080: " +
	"to listen on another address, set auth.secret, auth.jwks.url or auth.public.key")
