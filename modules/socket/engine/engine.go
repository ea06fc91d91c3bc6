package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/tasks"
)

// Config sets the limits of connections. All durations and sizes are required.
type Config struct {
	MaxFrame     int64         // bytes in one message from a client
	MaxBacklog   int           // bytes queued for one connection
	Gather       time.Duration // how long frames for a busy connection are gathered
	PingInterval time.Duration // time between heartbeats
	PingTimeout  time.Duration // time to answer a heartbeat
	Polling      bool          // Engine.IO clients may use HTTP long polling
	WebSocket    bool          // Engine.IO clients may use WebSockets
	Origins      origins.List  // allowed browser origins
	Cookie       string        // name of a cookie with a polling session's id; empty for none

	// Reconnect returns the frame that tells a plain client to reconnect after a time,
	// because the node stops. If it is nil, clients are not told.
	Reconnect func(after time.Duration) *Frame

	// Node is the first part of the ids of polling sessions. It has [NodeLength] characters
	// of base64url, or none.
	Node string
	// Forward passes a request for a session of another node to that node. It returns false
	// if it cannot. unknown answers a request for a session that does not exist. Forward
	// may be nil.
	Forward func(w http.ResponseWriter, r *http.Request, node string, unknown http.Handler) bool
}

// NodeLength is the length of [Config].Node. The rest of an id has 72 random bits.
const NodeLength = 8

// Handshake describes the request that opens a connection.
type Handshake struct {
	Header     http.Header // of the request itself; must not be modified any more
	Query      url.Values
	RemoteAddr string // host:port
	Protocol   Protocol
	// Context carries the values of the request's context, but never ends. Do not keep it
	// longer than the connection.
	Context context.Context //nolint:containedctx // http.Request holds one too
}

// Receiver handles the input of one connection. One goroutine at a time calls it. Its
// methods must not panic. They must not block unless their comment allows it, because other
// connections wait for the goroutine. A receiver that cannot keep up calls [Conn.Pause].
type Receiver interface {
	// Message handles one message, which is text unless binary is set. data is valid only
	// during the call. Message must not block.
	Message(data []byte, binary bool)
	// Finish is called before Closed if the client has ended its stream. Frames sent before
	// Finish returns still reach the client. Finish should return when all messages are
	// answered, or when ctx ends with the connection. It may block.
	Finish(ctx context.Context)
	// Closed is the last call. It is called exactly once, and may block.
	Closed(reason Reason)
}

// Accept decides before the upgrade whether to admit a connection, and returns its
// receiver. Frames sent before Accept returns go out after the upgrade and after
// Engine.IO's open packet. An error refuses the connection, and Closed is then not called.
// If the error is an [http.Handler], it answers the request.
type Accept func(c *Conn, h Handshake) (Receiver, error)

// Stats are counters since the engine was created, except Connections.
type Stats struct {
	Connections   int64 // open now, including those being opened or closed
	Accepted      int64
	SlowConsumers int64 // connections closed because of their backlog
	Dropped       int64 // lossy frames that were dropped
	Frames        int64 // frames written
	Bytes         int64 // bytes written
	Writes        int64 // system calls for these writes
}

// Engine accepts connections and owns them. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	origins  origins.Current // replaces cfg.Origins
	accept   Accept
	log      *slog.Logger
	upgrader *upgrader
	buffers  *buffers
	start    time.Time
	stats    counters
	gatherer gatherer
	poller   poller

	refusedOrigin, refusedTransport tasks.Seldom // limit log lines

	mu       sync.Mutex
	conns    map[*Conn]struct{} // all connections; melody's own set lacks those being accepted
	sessions map[string]*Conn   // sessions that began with polling, by sid
	draining bool
	empty    chan struct{} // closed once all connections of a draining engine are gone
}

// New returns an engine. It does no I/O and starts no goroutine. Clients connect
// through [Engine.ServeEngineIO] and [Engine.ServePlain].
func New(cfg Config, accept Accept, log *slog.Logger) *Engine {
	e := &Engine{
		cfg:      cfg,
		accept:   accept,
		log:      log,
		upgrader: newUpgrader(cfg.MaxFrame),
		buffers:  newBuffers(),
		start:    time.Now(),
		gatherer: gatherer{window: cfg.Gather},
		conns:    make(map[*Conn]struct{}),
		sessions: make(map[string]*Conn),
		empty:    make(chan struct{}),
	}
	e.SetOrigins(cfg.Origins)
	return e
}

// SetOrigins replaces the allowed browser origins. Open connections stay.
func (e *Engine) SetOrigins(l origins.List) { e.origins.Store(l) }

// openPacket returns the first packet of an Engine.IO session.
func (e *Engine) openPacket(sid string, upgrade bool) []byte {
	upgrades := ""
	if upgrade {
		upgrades = `"websocket"`
	}
	return fmt.Appendf(nil, `0{"sid":"%s","upgrades":[%s],"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`,
		sid, upgrades, e.cfg.PingInterval.Milliseconds(), e.cfg.PingTimeout.Milliseconds(), e.cfg.MaxFrame)
}

// Len returns the number of connections, including those being opened or closed.
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
		Dropped:       e.stats.dropped.Load(),
		Frames:        e.stats.frames.Load(),
		Bytes:         e.stats.bytes.Load(),
		Writes:        e.stats.writes.Load(),
	}
}

// now returns the time on the engine's clock, which starts at 0.
func (e *Engine) now() time.Duration { return time.Since(e.start) }

type counters struct{ accepted, slow, dropped, frames, bytes, writes atomic.Int64 }

func (s *counters) add(frames, bytes, writes int) {
	s.frames.Add(int64(frames))
	s.bytes.Add(int64(bytes))
	s.writes.Add(int64(writes))
}

// add registers c. It returns false if the engine is draining.
func (e *Engine) add(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return false
	}
	e.conns[c] = struct{}{}
	if c.polling != nil {
		e.sessions[c.polling.sid] = c
	}
	return true
}

// lookup returns the session with a sid that began with polling, or nil.
func (e *Engine) lookup(sid string) *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[sid]
}

// Receiver returns the receiver of an open session that began with polling, or nil.
func (e *Engine) Receiver(sid string) Receiver {
	if c := e.lookup(sid); c != nil {
		return c.receiver
	}
	return nil
}

func (e *Engine) remove(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	if c.polling != nil {
		delete(e.sessions, c.polling.sid)
	}
	if e.draining && len(e.conns) == 0 {
		e.drainedLocked()
	}
}

func (e *Engine) drainedLocked() {
	e.poller.stop()
	close(e.empty)
}
