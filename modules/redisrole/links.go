package redisrole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// verifyFresh is for how long what [Clients.Verify] found serves everyone.
	verifyFresh = 4 * time.Second
	// verifyTimeout bounds one look.
	verifyTimeout = 2 * time.Second
	// maxFickle is how many servers an address may lead to, each within
	// fickleFor of the one before, until it is not looked at for a while:
	// resetting connections again and again would be worse.
	maxFickle  = 4
	fickleFor  = 20 * time.Second
	fickleRest = 10 * time.Minute
	// watchEvery is how often [Clients.Watch] looks.
	watchEvery = 5 * time.Second
)

// dialer is how go-redis connects.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// links are the open connections of a client and its duplicates, and what they
// are thought to lead to.
type links struct {
	once func() (*redis.Client, error) // a client for one look

	mu    sync.Mutex
	open  map[*link]struct{}
	broke time.Time // when one of them ended by itself, the last time

	look  sync.Mutex // held while somebody looks
	fresh time.Duration
	seen  time.Time
	last  string // what was there: see identityOf; empty: not known

	replaced time.Time // when that changed
	fickle   int       // how often it did in a short time
}

var errFickle = errors.New("it is another server every time: its address leads to several")

// link is one connection.
type link struct {
	net.Conn

	of     *links
	dialed time.Time
}

// Read implements net.Conn.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.of.mu.Lock()
		l.of.broke = time.Now()
		l.of.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	return l.Conn.Close()
}

// rawLink is a link to which go-redis has raw access: it peeks into the socket of
// an idle connection to find out whether the server has closed it.
type rawLink struct {
	*link
	syscall.Conn
}

func newLinks() *links { return &links{open: make(map[*link]struct{}), fresh: verifyFresh} }

// through returns dial, with everything that it opens noted, by anyone but nil.
func (l *links) through(dial dialer) dialer {
	if l == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		noted := &link{conn, l, time.Now()}
		l.mu.Lock()
		l.open[noted] = struct{}{}
		l.mu.Unlock()
		if raw, ok := conn.(syscall.Conn); ok {
			return rawLink{noted, raw}, nil
		}
		return noted, nil
	}
}

// all returns the connections that are open.
func (l *links) all() []*link { return l.some(func(*link) bool { return true }) }

// before returns those that lead to a server which was there at a time and has been
// replaced since. If connections have ended since, it died: those that were
// made later lead to the one that took its place.
func (l *links) before(then time.Time) []*link {
	return l.some(func(one *link) bool { return !l.broke.After(then) || one.dialed.Before(l.broke) })
}

func (l *links) some(which func(*link) bool) []*link {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := make([]*link, 0, len(l.open))
	for one := range l.open {
		if which(one) {
			open = append(open, one)
		}
	}
	return open
}

// Reset closes every connection of a role's client and of its duplicates:
// calls under way fail, and the next ones connect anew, which asks Sentinels
// and name servers again. It is for who finds that a server which answers is
// not the one that the others use. Clients of a cluster, which follow it by
// themselves, and those that were given stay as they are, but not the
// duplicates of the latter.
func (c *Clients) Reset(role Role) {
	l := c.roles[role].links
	if l == nil {
		return
	}
	for _, one := range l.all() {
		_ = one.Close()
	}
}

// Verify looks, over a new connection, whether a role's address leads to the
// server to which it led before, and whether that is still what it was, a
// master or a replica. If not, the connections that were open before are reset:
// nothing else would end those to a server that lives on though another one has
// taken its place. It reports whether they were.
//
// It costs one short connection every four seconds, whoever calls it and
// however often. Where the server does not tell who it is (INFO), on a cluster,
// which tells by itself, and for an address that leads to another server every
// few seconds, of which it tells once in a while, it finds nothing.
func (c *Clients) Verify(ctx context.Context, role Role) (replaced bool, err error) {
	l := c.roles[role].links
	if l == nil || l.once == nil {
		return false, nil
	}
	if !l.look.TryLock() { // somebody looks already
		return false, nil
	}
	defer l.look.Unlock()
	if time.Since(l.seen) < l.fresh || l.fickle == maxFickle && time.Since(l.replaced) < fickleRest {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	before := l.before(l.seen)
	client, err := l.once()
	if err != nil {
		return false, err
	}
	defer func() { _ = client.Close() }()
	now, err := identityOf(ctx, client)
	if err != nil {
		return false, fmt.Errorf("look which server the %s role has: %w", role, err)
	}
	l.seen = time.Now()
	if l.last == now || now == "" {
		return false, nil
	}
	replaced = l.last != ""
	l.last = now
	if replaced && time.Since(l.replaced) > fickleFor {
		l.fickle = 0
	}
	if replaced {
		l.replaced = l.seen
		if l.fickle++; l.fickle == maxFickle {
			return false, errFickle
		}
		for _, one := range before {
			_ = one.Close()
		}
	}
	return replaced, nil
}

// Watch verifies a role's server again and again until ctx ends, and logs what
// it finds. It is for who holds connections for long.
func (c *Clients) Watch(ctx context.Context, role Role, log *slog.Logger) {
	if l := c.roles[role].links; l == nil || l.once == nil {
		return
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		replaced, err := c.Verify(ctx, role)
		switch {
		case replaced:
			log.Info("redisrole: a server was replaced, or changed between master and replica; connections are made anew",
				"role", role, "server", c.Where(role))
		case errors.Is(err, errFickle):
			log.Warn("redisrole: for a while it is not looked which server a role has", "role", role, "server", c.Where(role), "err", err)
		case err != nil && ctx.Err() == nil:
			log.Debug("redisrole: it is not known which server a role has", "role", role, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// identityOf returns which server process this is and whether it is a master,
// or nothing when it does not say.
func identityOf(ctx context.Context, client *redis.Client) (string, error) {
	text, err := client.Info(ctx, "server", "replication").Result()
	if _, refused := errors.AsType[redis.Error](err); refused {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	info := parseInfo(text)
	if info["run_id"] == "" {
		return "", nil
	}
	return info["run_id"] + " " + info["role"], nil
}
