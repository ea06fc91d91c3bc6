package redisrole

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/nowait"
)

// ErrNoConn says that there is no connection to a role's server but its client's.
var ErrNoConn = errors.New("redisrole: there is no connection beside the client's: it is given, of a cluster, or behind Sentinels")

// Conn is a connection to a role's server for who speaks Redis's protocol
// himself, on which the server has been greeted: it knows name, user and
// database. It has no deadline yet. [Clients.Reset] and [Clients.Verify] may close
// it at any time.
type Conn struct {
	net.Conn
	client *redis.Client   // has it in its pool, and nothing else
	raw    syscall.RawConn // nil: it cannot be looked at
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	err := c.Conn.Close()
	_ = c.client.Close() // it finds what was its own closed
	return err
}

// Quiet reports whether nothing has arrived, neither data nor the end. Under TLS,
// and on systems that are not Unix, it cannot be known, and is assumed.
func (c *Conn) Quiet() bool {
	quiet := true
	return c.raw == nil || c.raw.Control(func(fd uintptr) { quiet = nowait.Quiet(fd) }) == nil && quiet
}

// Connects reports whether [Clients.Connect] is possible: the role has one
// server, which it knows by a URL.
func (c *Clients) Connects(role Role) bool { return c.roles[role].connect != nil }

// Connect opens a connection to a role's server, with the settings of the role's
// client. It is the caller's to close. It fails with [ErrNoConn] where there are
// Sentinels or a cluster, and for a client that the embedding program has.
func (c *Clients) Connect(ctx context.Context, role Role) (*Conn, error) {
	connect := c.roles[role].connect
	if connect == nil {
		return nil, ErrNoConn
	}
	conn, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the %s role's redis: %w", role, err)
	}
	return conn, nil
}

// connect opens a connection as a client with these options would.
func connect(ctx context.Context, opt redis.Options) (*Conn, error) {
	restoreDisabled(&opt)
	var dialed atomic.Pointer[net.Conn]
	dial := opt.Dialer
	opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		dialed.Store(&conn)
		return conn, err
	}
	opt.PoolSize, opt.MinIdleConns, opt.MaxRetries = 1, 0, -1
	client := redis.NewClient(&opt)
	if err := client.Conn().Ping(ctx).Err(); err != nil { // and it is not given back
		return nil, errors.Join(err, client.Close())
	}
	c := &Conn{Conn: *dialed.Load(), client: client}
	if link, ok := c.Conn.(rawLink); ok && nowait.Supported {
		c.raw, _ = link.conn.SyscallConn()
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
