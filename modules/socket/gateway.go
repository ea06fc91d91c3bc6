package socket

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Deps is what a [Gateway] works with.
type Deps struct {
	Hub          *adapter.Hub          // this node's rooms; started and stopped by whoever made it
	Authenticate Authenticator         // required: Tokens, Anonymous or your own
	Origins      []string              // browser origins that may connect; empty: same origin; "*": any
	Log          *slog.Logger          // nil: nothing is logged
	Registerer   prometheus.Registerer // nil: nothing is measured
}

// Gateway is the way in: it serves client connections and calls the handlers.
// Its methods may be called concurrently.
type Gateway struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	own      *adapter.Owner
	handlers handlers
	metrics  *metrics
	engine   *engine.Engine
	work     *tasks.Group

	connectTimeout, handlerTimeout, closeGrace time.Duration // changed by tests alone
}

// New returns a gateway for the handlers. It reports everything that is wrong
// with them and with its arguments. Make it before the hub starts.
func New(cfg Config, deps Deps, list ...Handler) (*Gateway, error) {
	cfg = cfg.WithDefaults()
	errs := []error{cfg.Validate()}
	if deps.Hub == nil {
		errs = append(errs, errors.New("socket: Deps.Hub is missing: adapter.NewHub makes one"))
		deps.Hub = adapter.NewHub(nil) // to check the handlers
	}
	if deps.Authenticate == nil {
		errs = append(errs, errors.New("socket: Deps.Authenticate is missing: "+
			"socket.Tokens checks tokens, socket.Anonymous lets everybody in"))
	}
	own, err := deps.Hub.Reserve(&names)
	hs, mistakes := newHandlers(deps.Hub.Owner, list)
	if err := errors.Join(append(errs, err, mistakes)...); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		cfg: cfg, deps: deps, log: deps.Log, own: own, handlers: hs, work: tasks.New(),
		connectTimeout: defaultConnectTimeout, handlerTimeout: defaultHandlerTimeout, closeGrace: defaultCloseGrace,
	}
	g.engine = engine.New(engine.Config{
		MaxFrame:     cfg.MaxFrame,
		MaxBacklog:   cfg.MaxBacklog,
		Gather:       cfg.Gather,
		PingInterval: cfg.PingInterval,
		PingTimeout:  cfg.PingTimeout,
		Origins:      deps.Origins,
	}, g.accept, g.log)
	if g.metrics, err = newMetrics(deps.Registerer, g.engine.Stats, deps.Hub); err != nil {
		return nil, err
	}
	own.Intercept(eventDisconnect, func(env adapter.Envelope) { disconnect(own.Sockets(env.Room)) })
	deps.Hub.OnDropped(func(env adapter.Envelope) {
		g.log.Warn("socket: dropped an envelope that no module sends", "room", env.Room, "event", env.Event)
	})
	return g, nil
}

// Start makes the gateway ready for connections.
func (g *Gateway) Start(ctx context.Context) error { return g.engine.Start(ctx) }

// Drain refuses new connections and closes the open ones, spread over the time
// that ctx leaves; their clients come back by themselves, to another node. It
// returns when they are closed, or with ctx's error.
func (g *Gateway) Drain(ctx context.Context) error { return g.engine.Drain(ctx) }

// CloseAll closes the open connections, so that their clients go to another
// node, and goes on to serve.
func (g *Gateway) CloseAll() { g.engine.CloseAll(engine.Drained) }

// Stop closes all connections and waits, until ctx ends, for their handlers. A
// stopped gateway cannot be started again.
func (g *Gateway) Stop(ctx context.Context) error {
	return errors.Join(g.engine.Stop(ctx), g.work.Finish(ctx))
}

// Len returns how many connections are open.
func (g *Gateway) Len() int { return g.engine.Len() }

// ServeSocketIO serves /socket.io/: Engine.IO v4 and Socket.IO v5.
func (g *Gateway) ServeSocketIO(w http.ResponseWriter, r *http.Request) { g.engine.ServeEngineIO(w, r) }

// ServePlain serves /ws: JSON messages over a WebSocket. A client that is not
// let in gets a problem instead of a WebSocket.
func (g *Gateway) ServePlain(w http.ResponseWriter, r *http.Request) { g.engine.ServePlain(w, r) }

// ServeHTTP serves both endpoints of one route: Socket.IO where the request has
// its parameter EIO, plain WebSockets otherwise.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("EIO") {
		g.ServeSocketIO(w, r)
		return
	}
	g.ServePlain(w, r)
}

// accept makes the session of a new connection.
func (g *Gateway) accept(conn *engine.Conn, h engine.Handshake) (engine.Receiver, error) {
	if h.Protocol == engine.Plain {
		return plain{}.accept(g, conn, h)
	}
	token := bearer(h.Header)
	h.Context = nil // it ends with the handshake
	s := newSession(g, conn, socketIO{}, Handshake{Handshake: h, Token: token})
	s.connectSoon()
	return s, nil
}

// connected runs the handlers of a socket's beginning, up to the first that
// refuses it.
func (g *Gateway) connected(ctx context.Context, s *Socket) *fault.Error {
	attrs := []any{"handler", "connect", "user", s.UserID(), "socket", s.ID()}
	for _, h := range g.handlers.connect {
		if err := g.isolated(func() error { return h.connect(ctx, s) }, attrs...); err != nil {
			return g.explain(ctx, err, attrs...)
		}
	}
	return nil
}

// disconnected runs the handlers of a socket's end.
func (g *Gateway) disconnected(s *Socket, reason engine.Reason) {
	g.metrics.disconnect(s.endpoint.name(), reason)
	for _, h := range g.handlers.disconnect {
		_ = g.isolated(func() error {
			h.disconnect(s, reason)
			return nil
		}, "handler", "disconnect", "user", s.UserID(), "socket", s.ID())
	}
}
