package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
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
	c.MaxFrame = cmp.Or(c.MaxFrame, 64<<10)
	c.MaxBacklog = cmp.Or(c.MaxBacklog, 1<<20)
	c.Gather = cmp.Or(c.Gather, 5*time.Millisecond)
	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	origins := make([]string, len(c.Origins))
	for i, origin := range c.Origins {
		origins[i] = strings.TrimSuffix(origin, "/")
	}
	c.Origins = origins
	return c
}

// Handshake is what a connection was opened with. Header is the request's own:
// whoever serves it leaves it alone from then on.
type Handshake struct {
	Header     http.Header
	Query      url.Values
	RemoteAddr string // host:port
	Protocol   Protocol
	// Context carries the values of the request's context. It has no end: do
	// not keep it longer than the connection.
	Context context.Context //nolint:containedctx // as http.Request holds one
}

// Receiver takes what one connection receives. Its methods are called by one
// goroutine at a time, and must neither panic nor block: other connections may
// wait for it. Who has enough calls [Conn.Pause]; the heartbeat waits meanwhile.
type Receiver interface {
	// Message takes one message. data is valid during the call only.
	Message(data []byte)
	// Finish is called when the client has said that it sends no more, before
	// Closed: what is sent until it returns still reaches the client. It
	// returns when all messages are answered or when ctx ends, because the
	// connection does. It may block. It is not called for other ends.
	Finish(ctx context.Context)
	// Closed is called exactly once, last. It may block.
	Closed(reason Reason)
}

// Accept decides on a new connection before it is upgraded and returns who
// receives from it. Frames sent meanwhile go out once it is open, after
// Engine.IO's open packet. An error refuses the connection, and Closed is not
// called; an error that is an http.Handler answers the request.
type Accept func(c *Conn, h Handshake) (Receiver, error)

// Stats counts since the engine was made, but for Connections.
type Stats struct {
	Connections   int64 // open now, and those being opened or closed
	Accepted      int64
	SlowConsumers int64 // connections that were closed for their backlog
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
	buffers *buffers
	began   time.Time
	stats   counters
	// openTail is the open packet after its sid, which is URL-safe base64.
	openTail []byte

	gatherer gatherer
	poller   poller

	mu       sync.Mutex
	conns    map[*Conn]struct{} // melody's own set misses those being accepted
	draining bool
	empty    chan struct{} // closed when the last connection of a drain is gone
}

// New returns an engine. It does no I/O. Clients reach it by
// [Engine.ServeEngineIO] and [Engine.ServePlain].
func New(cfg Config, accept Accept, log *slog.Logger) *Engine {
	e := &Engine{
		cfg:     cfg.withDefaults(),
		accept:  accept,
		log:     log,
		buffers: newBuffers(),
		began:   time.Now(),
		conns:   make(map[*Conn]struct{}),
		empty:   make(chan struct{}),
	}
	e.gatherer.window = e.cfg.Gather
	e.openTail = fmt.Appendf(nil, `","upgrades":[],"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`,
		e.cfg.PingInterval.Milliseconds(), e.cfg.PingTimeout.Milliseconds(), e.cfg.MaxFrame)
	e.sockets = newWebSockets(e)
	return e
}

// Start has nothing to do: requests bring the work.
func (e *Engine) Start(context.Context) error { return nil }

// Stop is [Engine.Drain]. After it returned nil no receiver is called any
// more. A stopped engine cannot be started again.
func (e *Engine) Stop(ctx context.Context) error { return e.Drain(ctx) }

const (
	// drainPace bounds the time between two connections closed by a drain, and
	// drainSpan the time for all of them when the context has no deadline.
	drainPace = 10 * time.Millisecond
	drainSpan = 5 * time.Second
)

// Drain accepts no new connections and closes the open ones as [Drained], one
// after the other over at most half of the time that ctx leaves, so that their
// clients do not all come back at once. It returns when the last one is gone
// and its receiver knows; when ctx ends it cuts those that are left and returns
// ctx's error.
func (e *Engine) Drain(ctx context.Context) error {
	conns := e.refuseMore()
	span := min(drainSpan, drainPace*time.Duration(len(conns)))
	if deadline, ok := ctx.Deadline(); ok {
		span = min(span, time.Until(deadline)/2)
	}
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, c := range conns {
		timer.Reset(time.Until(start.Add(span * time.Duration(i) / time.Duration(len(conns)))))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		c.Close(Drained)
	}
	select {
	case <-e.empty:
		e.poller.stopped()
		return e.sockets.work.Finish(ctx)
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.cut(Drained)
	}
	_ = e.sockets.work.Finish(ctx) // its goroutines end with the connections
	return ctx.Err()
}

// CloseAll closes the open connections for reason, at once, and goes on to
// accept new ones.
func (e *Engine) CloseAll(reason Reason) {
	for _, c := range e.connections() {
		c.Close(reason)
	}
}

func (e *Engine) connections() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connectionsLocked()
}

func (e *Engine) connectionsLocked() []*Conn {
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	return conns
}

// refuseMore begins a drain and returns the connections that there are.
func (e *Engine) refuseMore() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.draining && len(e.conns) == 0 {
		e.emptiedLocked()
	}
	e.draining = true
	return e.connectionsLocked()
}

// Len returns the number of connections, those being opened or closed included.
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

// now is the engine's clock.
func (e *Engine) now() time.Duration { return time.Since(e.began) }

// counters are what [Engine.Stats] reads.
type counters struct{ accepted, slow, frames, bytes, writes atomic.Int64 }

// count counts a batch that is out.
func (s *counters) count(b *batch) { s.add(len(b.frames), b.total, b.writes) }

func (s *counters) add(frames, bytes, writes int) {
	s.frames.Add(int64(frames))
	s.bytes.Add(int64(bytes))
	s.writes.Add(int64(writes))
}

var errDraining = errors.New("engine: draining")

// add makes c one of the engine's; every add needs its remove.
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
	delete(e.conns, c)
	if e.draining && len(e.conns) == 0 {
		e.emptiedLocked()
	}
}

// emptiedLocked ends a drain.
func (e *Engine) emptiedLocked() {
	e.poller.stop()
	close(e.empty)
}
