package socket

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/moim-live/moim/internal/bounds"
	"github.com/moim-live/moim/modules/socket/nodes"
)

// Values of [Config].Adapter.
const (
	AdapterMemory = "memory"
	AdapterRedis  = "redis"
)

// Values of [Config].Bridge.
const (
	BridgeOff          = "off"
	BridgeRedisAdapter = "redis-adapter"
)

// DefaultBridgeKey is the default of Node's adapters.
const DefaultBridgeKey = "socket.io"

// Values of [Config].Transports.
const (
	TransportPolling   = "polling"
	TransportWebSocket = "websocket"
)

// Config holds the settings of sockets. A zero value means the default.
type Config struct {
	MaxFrame       int64         `key:"max.frame" help:"largest message or polling request from a client, in bytes"`
	MaxBacklog     int           `key:"max.backlog" help:"bytes that may be queued for one socket; a socket with more is closed"`
	Gather         time.Duration `key:"gather" help:"how long frames for a busy socket are collected into one write"`
	PingInterval   time.Duration `key:"ping.interval" help:"time between heartbeats"`
	PingTimeout    time.Duration `key:"ping.timeout" help:"how long a client may take to answer a heartbeat"`
	Transports     []string      `key:"transports" help:"transports of Socket.IO clients: polling, websocket or both"`
	ConnectTimeout time.Duration `key:"connect.timeout" help:"how long a Socket.IO client may take to connect to a namespace"`
	Recovery       time.Duration `key:"recovery" help:"how long a node keeps the state of a Socket.IO client after its connection is lost: its id, rooms, data and missed events; 0s: it keeps none. Set it when all nodes have this version"`
	Cookie         string        `key:"cookie" help:"name of a cookie with the id of a polling session, for load balancers with sticky sessions; empty: none"`
	Bridge         string        `key:"bridge" help:"share rooms with Node servers: redis-adapter (for servers with @socket.io/redis-adapter on the socket role's Redis) or off"`
	BridgeKey      string        `key:"bridge.key" help:"first part of the names of the Node servers' channels: their key or channelPrefix"`
	NodeURL        string        // how other nodes reach this one; may be empty
	Adapter        string        `key:"adapter" help:"adapter that carries messages between nodes: redis or memory; empty: redis if the socket role has a server"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.MaxFrame = cmp.Or(c.MaxFrame, 1_000_000)
	c.MaxBacklog = cmp.Or(c.MaxBacklog, 1_048_576)
	c.Gather = cmp.Or(c.Gather, 5*time.Millisecond)
	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	c.Bridge = cmp.Or(c.Bridge, BridgeOff)
	c.BridgeKey = cmp.Or(c.BridgeKey, DefaultBridgeKey)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 45*time.Second)
	if len(c.Transports) == 0 {
		c.Transports = []string{TransportPolling, TransportWebSocket}
	}
	return c
}

// Validate returns an error for every value out of range. Call it after
// [Config.WithDefaults].
func (c Config) Validate() error {
	var adapter error
	if c.Adapter != "" && c.Adapter != AdapterMemory && c.Adapter != AdapterRedis {
		adapter = errors.New("socket.adapter: it must be redis or memory")
	}
	var bridge error
	if c.Bridge != BridgeOff && c.Bridge != BridgeRedisAdapter {
		bridge = errors.New("socket.bridge: it must be redis-adapter or off")
	}
	var nodeURL error
	if c.NodeURL != "" {
		nodeURL = nodes.CheckURL(c.NodeURL)
	}
	var cookie error
	if c.Cookie != "" && (&http.Cookie{Name: c.Cookie}).Valid() != nil {
		cookie = errors.New("socket.cookie: it must be the name of a cookie, such as io")
	}
	var transports error
	for _, t := range c.Transports {
		if t != TransportPolling && t != TransportWebSocket {
			transports = errors.New("socket.transports: each must be polling or websocket")
		}
	}
	return errors.Join(
		bounds.Check("socket.max.frame", c.MaxFrame, 1024, 64<<20),
		bounds.Check("socket.max.backlog", c.MaxBacklog, 16<<10, 1<<30),
		bounds.Check("socket.gather", c.Gather, 0, time.Second),
		bounds.Check("socket.ping.interval", c.PingInterval, 100*time.Millisecond, time.Hour),
		bounds.Check("socket.ping.timeout", c.PingTimeout, 100*time.Millisecond, time.Hour),
		bounds.Check("socket.connect.timeout", c.ConnectTimeout, 100*time.Millisecond, time.Hour),
		bounds.Check("socket.recovery", c.Recovery, 0, time.Hour),
		transports,
		cookie,
		adapter,
		bridge,
		nodeURL,
	)
}
