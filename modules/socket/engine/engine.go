package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds connections. Zero values mean the defaults.
type Config struct {
	MaxFrame     int64         // bytes a client may send in one message; default 64 KiB
	MaxBacklog   int           // bytes queued for one connection; default 1 MiB
	Gather       time.Duration // how long frames for a busy connection are gathered; default 5 ms
	PingInterval time.Duration // between heartbeats; default 25 s
	PingTimeout  time.Duration // for the answer to one; default 20 s
	Origins      []string      // allowed browser origins; empty: same origin; "*": any
}

func (c Config) withDefaults() Config {
	orDefault(&c.MaxFrame, 64<<10)
	orDefault(&c.MaxBacklog, 1<<20)
	orDefault(&c.Gather, 5*time.Millisecond)
	orDefault(&c.PingInterval, 25*time.Second)
	orDefault(&c.PingTimeout, 20*time.Second)
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Handshake is what a connection was opened with.
type Handshake struct {
	Header     http.Header
	Query      url.Values
	RemoteAddr string
	Protocol   Protocol
	// Context carries the values of the request's context. It ends with the
	// handshake: do not keep it.
	Context context.Context //nolint:containedctx // as http.Request holds one
}

// Receiver takes what one connection receives. Its methods are called by one
// goroutine at a time.
type Receiver interface {
	// Message takes one message. data is the receiver's.
	Message(data []byte)
	// Closed is called exactly once, last.
	Closed(reason Reason)
}

// Accept decides on a new connection before it is upgraded and returns who
// receives from it. Frames sent meanwhile go out once it is open. An error
// refuses the connection; one that is an http.Handler answers the request.
type Accept func(c *Conn, h Handshake) (Receiver, error)

// Stats counts since the start, but for Connections.
type Stats struct {
	Connections   int64 // open now
	Accepted      int64
	SlowConsumers int64 // connections that were cut for their backlog
	Frames        int64 // written
	Bytes         int64 // written
	Writes        int64 // system calls that wrote them
}

// Engine accepts connections and owns them. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	accept  Accept
	log     *slog.Logger
	sockets *webSockets
	ids     ids
	stats   struct{ accepted, slow, frames, bytes, writes atomic.Int64 }

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	draining bool
	empty    chan struct{} // closed when the last connection of a drain is gone
}

// New returns an engine. It does no I/O.
func New(cfg Config, accept Accept, log *slog.Logger) *Engine {
	e := &Engine{
		cfg:    cfg.withDefaults(),
		accept: accept,
		log:    log,
		conns:  make(map[*Conn]struct{}),
		empty:  make(chan struct{}),
	}
	e.sockets = newWebSockets(e)
	return e
}

// Start does nothing: connections come by [Engine.ServeEngineIO] and
// [Engine.ServePlain].
func (e *Engine) Start(context.Context) error { return nil }

// Stop closes all connections, within ctx.
func (e *Engine) Stop(ctx context.Context) error { return e.Drain(ctx) }

// drainPace bounds the time between two connections closed by a drain.
const drainPace = 10 * time.Millisecond

// Drain accepts no new connections and closes the open ones as [Drained], one
// after the other over at most half of the time that ctx leaves, so that they
// do not all come back at once. It returns when the last one is gone; when ctx
// ends it cuts those that are left.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	if !e.draining {
		e.draining = true
		if len(conns) == 0 {
			close(e.empty)
		}
	}
	e.mu.Unlock()

	pace := drainPace
	if deadline, ok := ctx.Deadline(); ok && len(conns) > 0 {
		pace = min(pace, time.Until(deadline)/2/time.Duration(len(conns)))
	}
	tick := time.NewTicker(max(pace, time.Microsecond))
	defer tick.Stop()
	for _, c := range conns {
		c.Close(Drained)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	select {
	case <-e.empty:
		return nil
	case <-ctx.Done():
		for _, c := range conns {
			c.cut(Drained)
		}
		return ctx.Err()
	}
}

// Len returns the number of open connections.
func (e *Engine) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	return Stats{
		Connections:   int64(e.Len()),
		Accepted:      e.stats.accepted.Load(),
		SlowConsumers: e.stats.slow.Load(),
		Frames:        e.stats.frames.Load(),
		Bytes:         e.stats.bytes.Load(),
		Writes:        e.stats.writes.Load(),
	}
}

var errDraining = errors.New("engine: draining")

func (e *Engine) add(c *Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return errDraining
	}
	e.conns[c] = struct{}{}
	return nil
}

func (e *Engine) remove(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.conns[c]; !known {
		return
	}
	delete(e.conns, c)
	if e.draining && len(e.conns) == 0 {
		close(e.empty)
	}
}
