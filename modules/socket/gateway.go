package socket

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/nodes"
	"github.com/moim-live/moim/modules/socket/recovery"
)

// Deps are the dependencies of a [Gateway].
type Deps struct {
	Hub          *adapter.Hub          // required; the caller starts and stops it
	Emitter      *Emitter              // must use Hub; can then ask other nodes; nil: none
	Bridge       Bridge                // shares rooms with other servers; nil: none
	Authenticate Authenticator         // required: Tokens, Anonymous or your own
	Origins      Origins               // browser origins that may connect
	Log          *slog.Logger          // nil: no logs
	Registerer   prometheus.Registerer // nil: no metrics
	Limits       *limit.Limits         // nil: no limits
	Revocations  *auth.Revocations     // revoked tokens; nil: none
	Gatekeeper   Gatekeeper            // nil: every user may connect
	Tracer       tracing.Tracer        // of requests
}

// Origins are the browser origins that may connect.
type Origins struct {
	// Allowed are origins like https://app.example.com, all subdomains as
	// https://*.example.com, or "*" for any. Empty: the same origin only.
	Allowed []string
	// Loopback allows pages on this machine, too, for development.
	Loopback bool
}

func (o Origins) parse() (origins.List, error) {
	list, err := origins.Parse(o.Allowed)
	if o.Loopback {
		list = list.WithLoopback()
	}
	return list, err
}

// Gateway accepts client connections and calls the handlers. It is safe for concurrent use.
type Gateway struct {
	cfg        Config
	deps       Deps
	log        *slog.Logger
	own        *adapter.Owner
	emitter    *Emitter
	nodes      *nodes.Directory
	recovery   *recovery.Store
	forward    *nodes.Forwarder
	namespaces map[string]*namespace // always contains "/"
	metrics    *metrics
	engine     *engine.Engine
	work       *tasks.Group
	refused    tasks.Seldom // limits log lines about refused tokens

	// keepHandshakes is set if the program's handlers may read handshakes, or if clients
	// may connect to further namespaces with the token in them.
	keepHandshakes bool

	handlerTimeout, closeGrace time.Duration // tests shorten them
}

// New returns a gateway for the handlers. Its error lists all mistakes in the arguments and
// handlers. Call New before the hub starts.
func New(cfg Config, deps Deps, list ...Handler) (*Gateway, error) {
	cfg = cfg.WithDefaults()
	errs := []error{cfg.Validate()}
	if deps.Hub == nil {
		errs = append(errs, errors.New("socket: Deps.Hub is missing: create it with adapter.NewHub"))
		deps.Hub = adapter.NewHub(nil) // only to check the handlers
	}
	if deps.Emitter != nil && deps.Emitter.hub != deps.Hub {
		errs = append(errs, errors.New("socket: Deps.Emitter was created for another hub than Deps.Hub"))
	}
	if deps.Authenticate == nil {
		errs = append(errs, errors.New("socket: Deps.Authenticate is missing: "+
			"socket.Tokens checks tokens, socket.Anonymous admits everybody"))
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	own, err := deps.Hub.Reserve(&names)
	g := &Gateway{
		cfg: cfg, deps: deps, log: deps.Log, own: own, emitter: cmp.Or(deps.Emitter, NewEmitter(deps.Hub)), work: tasks.New(),
		namespaces:     map[string]*namespace{mainNamespace: newNamespace(mainNamespace, cfg)},
		handlerTimeout: defaultHandlerTimeout, closeGrace: defaultCloseGrace,
	}
	allowed, originsErr := deps.Origins.parse()
	if err := errors.Join(append(errs, err, originsErr, g.register(list))...); err != nil {
		return nil, err
	}
	g.nodes = nodes.New(engine.NewID()[:engine.NodeLength], cfg.NodeURL, bus{own})
	g.recovery = recovery.New(cfg.Recovery, cfg.PingInterval+cfg.PingTimeout, g.nodes)
	g.emitter.nodes, g.emitter.bridge, g.emitter.recovery = g.nodes, deps.Bridge, g.recovery
	g.keepHandshakes = g.keepHandshakes || deps.Bridge != nil // other servers ask for handshakes
	g.emitter.serve()
	g.forward = nodes.NewForwarder(g.nodes, cfg.PingInterval+cfg.PingTimeout)
	g.forward.Answered = func(r *http.Request) { limit.Settle(r.Context(), "session "+r.URL.Query().Get("sid"), false) }
	g.engine = engine.New(engine.Config{
		MaxFrame:     cfg.MaxFrame,
		MaxBacklog:   cfg.MaxBacklog,
		Gather:       cfg.Gather,
		PingInterval: cfg.PingInterval,
		PingTimeout:  cfg.PingTimeout,
		Polling:      slices.Contains(cfg.Transports, TransportPolling),
		WebSocket:    slices.Contains(cfg.Transports, TransportWebSocket),
		Origins:      allowed,
		Cookie:       cfg.Cookie,
		Reconnect:    reconnectFrame,
		Node:         g.nodes.Node(),
		Forward:      g.forward.Forward,
	}, g.accept, g.log)
	if g.metrics, err = newMetrics(deps.Registerer, g.engine.Stats, deps.Hub, g.recovery); err != nil {
		return nil, err
	}
	own.Intercept(eventDisconnect, func(env adapter.Envelope) {
		g.nodes.Serve(func() { disconnect(own.Sockets(env.Room)) })
	})
	if deps.Revocations != nil {
		deps.Revocations.OnRevoked(g.revoked)
	}
	deps.Hub.OnDropped(func(env adapter.Envelope) {
		g.log.Warn("socket: dropped an envelope with a reserved name", "room", env.Room, "event", env.Event)
	})
	return g, nil
}

// Start begins to handle requests of other nodes: see [Target]. Call it after the hub has
// started.
func (g *Gateway) Start(ctx context.Context) error {
	g.nodes.Start(ctx)
	g.recovery.Start()
	return g.startBridge(ctx)
}

// Drain refuses new connections and closes the open ones, spread over the time until ctx's
// deadline. It tells plain clients when to reconnect to another node; Socket.IO clients
// choose the time themselves. It returns when all are closed, or with ctx's error.
func (g *Gateway) Drain(ctx context.Context) error {
	g.forward.Stop()
	return g.engine.Drain(ctx)
}

// CloseAll closes the open connections at once. Clients reconnect automatically. The
// gateway still accepts connections.
func (g *Gateway) CloseAll() { g.engine.CloseAll() }

// Stop closes all connections and waits for their handlers until ctx ends. A
// stopped gateway cannot be started again.
func (g *Gateway) Stop(ctx context.Context) error {
	err := errors.Join(g.Drain(ctx), g.work.Finish(ctx), g.stopBridge(ctx), g.nodes.Stop(ctx))
	g.recovery.ForgetAll()
	return err
}

// ServeSocketIO serves /socket.io/: Engine.IO v4 and Socket.IO v5.
func (g *Gateway) ServeSocketIO(w http.ResponseWriter, r *http.Request) {
	if !g.forward.Verify(r) {
		http.Error(w, "the header "+nodes.ForwardHeader+" is for nodes only", http.StatusBadRequest)
		return
	}
	g.settle(r)
	g.engine.ServeEngineIO(w, r)
}

// SetOrigins replaces the browser origins that may connect. Open connections stay.
func (g *Gateway) SetOrigins(o Origins) error {
	list, err := o.parse()
	if err == nil {
		g.engine.SetOrigins(list)
	}
	return err
}

// Len returns the number of open connections, polling sessions included.
func (g *Gateway) Len() int { return g.engine.Len() }

// Frames returns how many frames were written to connections.
func (g *Gateway) Frames() int64 { return g.engine.Stats().Frames }

// ServePlain serves /ws: JSON messages over a WebSocket. A client that is refused gets an
// RFC 9457 problem.
func (g *Gateway) ServePlain(w http.ResponseWriter, r *http.Request) { g.engine.ServePlain(w, r) }

// ServeHTTP serves both endpoints on one path: Socket.IO if the request has the parameter
// EIO, else plain WebSockets.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("EIO") {
		g.ServeSocketIO(w, r)
		return
	}
	g.ServePlain(w, r)
}

// accept implements [engine.Accept].
func (g *Gateway) accept(conn *engine.Conn, h engine.Handshake) (engine.Receiver, error) {
	if len(h.Header.Values("Authorization")) > 1 {
		return nil, refusal{fault.ErrBadRequest.WithMessage("there must be one Authorization header")}
	}
	allowance, err := g.admit(h)
	if err != nil {
		return nil, err
	}
	if h.Protocol == engine.Plain {
		return plain{}.accept(g, conn, h, allowance)
	}
	h.Context = nil // the connection outlives the request
	s := &session{
		gateway: g, conn: conn, endpoint: socketIOEndpoint{}, allowance: allowance,
		handshake: &Handshake{Handshake: h, Token: bearer(h.Header)},
	}
	s.startConnectTimeout()
	return s, nil
}

// program returns the owner of all names that no module has reserved.
func (g *Gateway) program() *adapter.Owner { return g.deps.Hub.Owner }
