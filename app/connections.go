package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/internal/proxies"
	"github.com/moim-live/moim/modules/limit"
)

// connections limits the network connections of clients. It closes excess connections at
// once. Otherwise, they would wait for a file descriptor.
type connections struct {
	limits  *limit.Limits
	sockets func() int // number of hijacked connections and polling sessions
	trusted proxies.List

	open atomic.Int64 // number of HTTP connections

	mu      sync.Mutex
	clients map[net.Conn]*client
	users   map[string]int // connections of each user
}

// check implements [web.Check].
func (c *connections) check(context.Context) error {
	n, most := int(c.open.Load())+c.sockets(), c.limits.NodeSockets()
	if most >= 0 && n >= most {
		return fmt.Errorf("%d connections, of %d that limit.node.sockets allows: new ones are refused", n, most)
	}
	return nil
}

// changed implements [http.Server].ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		n, most := int(c.open.Add(1))+c.sockets(), c.limits.NodeConnections()
		if most >= 0 && n > most {
			c.limits.RefuseConnection()
			_ = conn.Close()
		}
	case http.StateHijacked, http.StateClosed:
		c.open.Add(-1)
		c.forget(conn)
	default:
	}
}

// context implements [http.Server].ConnContext. A connection counts as one without a
// verified token until a request settles it.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	if c.trusted.Trusts(conn.RemoteAddr().String()) {
		return ctx // a proxy has many clients
	}
	settle, err := c.limits.Pending(limit.AddressOf(conn.RemoteAddr().String()))
	if err != nil {
		_ = conn.Close()
		return ctx
	}
	c.mu.Lock()
	c.clients[conn] = &client{settle: settle}
	c.mu.Unlock()
	return limit.WithSettle(ctx, func(userID string, trusted bool) { c.settle(conn, userID, trusted) })
}

// client is the user of a connection.
type client struct {
	settle func() // from [limit.Limits.Pending]
	user   string // empty if unknown or trusted
}

// settle records the user of a connection. If the user already has as many connections as
// allowed sockets, further connections keep counting for their address.
func (c *connections) settle(conn net.Conn, userID string, trusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := c.clients[conn]
	if who == nil || who.user != "" {
		return
	}
	if !trusted {
		if c.limits.UserSockets().Exceeded(c.users[userID] + 1) {
			return
		}
		who.user = userID
		c.users[userID]++
	}
	who.settle()
}

// forget removes a connection from all counts.
func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := c.clients[conn]
	if who == nil {
		return
	}
	delete(c.clients, conn)
	if c.users[who.user]--; c.users[who.user] <= 0 {
		delete(c.users, who.user)
	}
	who.settle()
}
