package redisrole

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// tracker holds the open connections of a client and its duplicates, and what
// [Clients.Verify] knows about their server.
type tracker struct {
	mu     sync.Mutex
	open   map[*trackedConn]struct{}
	failed time.Time // when a connection last failed

	verifying  sync.Mutex // held by Verify
	verifiedAt time.Time
	validFor   time.Duration // how long a result is valid
	server     string        // from identityOf; empty if unknown
	replacedAt time.Time
	replaced   int // replacements in a row, each within unstableFor of the one before
}

func newTracker() *tracker {
	return &tracker{open: make(map[*trackedConn]struct{}), validFor: verifyEvery}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// track returns a dialer that records the connections of dial in t. If t is nil, it records
// none.
func (t *tracker) track(dial dialer) dialer {
	if t == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tracked := &trackedConn{conn, t, time.Now()}
		t.mu.Lock()
		t.open[tracked] = struct{}{}
		t.mu.Unlock()
		if raw, ok := conn.(syscall.Conn); ok {
			return rawConn{tracked, raw}, nil
		}
		return tracked, nil
	}
}

// trackedConn is one connection.
type trackedConn struct {
	net.Conn

	tracker *tracker
	dialed  time.Time
}

// Read implements net.Conn.
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.tracker.mu.Lock()
		c.tracker.failed = time.Now()
		c.tracker.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.tracker.mu.Lock()
	delete(c.tracker.open, c)
	c.tracker.mu.Unlock()
	return c.Conn.Close()
}

// rawConn gives go-redis access to the socket. go-redis reads ahead on the socket of an
// idle connection to find out whether the server has closed it.
type rawConn struct {
	*trackedConn
	syscall.Conn
}

// madeBefore returns the open connections to the old server, given the time at which the
// old server was last seen. If a connection has failed since, the old server died, so
// connections made after the failure lead to the new server.
func (t *tracker) madeBefore(replaced time.Time) []*trackedConn {
	return t.conns(func(c *trackedConn) bool { return !t.failed.After(replaced) || c.dialed.Before(t.failed) })
}

// conns returns the open connections for which keep is true.
func (t *tracker) conns(keep func(*trackedConn) bool) []*trackedConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	conns := make([]*trackedConn, 0, len(t.open))
	for c := range t.open {
		if keep(c) {
			conns = append(conns, c)
		}
	}
	return conns
}

func closeAll(conns []*trackedConn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
