package app

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

// The endpoints of the sockets.
const socketIOPath, plainPath = "/socket.io/", "/ws"

// Routes is everything that Moim serves: the HTTP API, the two socket endpoints,
// health, metrics and the documentation.
type Routes struct {
	cfg      web.Config
	version  string
	verifier *auth.Verifier
	log      *slog.Logger
	health   *web.Health
	metrics  *prometheus.Registry
	groups   *api.Controller
	gateway  *socket.Gateway

	api       *web.API
	cursorKey []byte // of the database, once it is known
}

type routesParams struct {
	fx.In

	Config   web.Config
	Version  version
	Verifier *auth.Verifier
	Log      *slog.Logger
	Health   *web.Health
	Metrics  *prometheus.Registry
	Groups   *api.Controller
	Gateway  *socket.Gateway
}

func provideRoutes(p routesParams) *Routes {
	return &Routes{
		cfg:      p.Config,
		version:  string(p.Version),
		verifier: p.Verifier,
		log:      p.Log,
		health:   p.Health,
		metrics:  p.Metrics,
		groups:   p.Groups,
		gateway:  p.Gateway,
	}
}

// Mount adds the routes to router. Call it once.
func (r *Routes) Mount(router gin.IRouter) {
	r.api = web.New(router, r.cfg, auth.Remember(r.verifier.Verify).Verify, r.log,
		web.WithVersion(r.version), web.WithHealth(r.health), web.WithMetrics(r.metrics))
	if r.cursorKey != nil {
		r.api.SetCursorKey(r.cursorKey)
	}
	r.groups.Register(r.api)
	sockets := router.Group("", web.NoSniff)
	socketIO := gin.WrapF(r.gateway.ServeSocketIO)
	sockets.GET(socketIOPath, socketIO)
	sockets.POST(socketIOPath, socketIO)
	sockets.GET(plainPath, gin.WrapF(r.gateway.ServePlain))
}

// setCursorKey makes cursors good on every node that has the key, whether it
// comes before Mount or after.
func (r *Routes) setCursorKey(key []byte) {
	r.cursorKey = key
	if r.api != nil {
		r.api.SetCursorKey(key)
	}
}

// Drain fails the readiness check and closes the sockets, paced, until ctx
// ends. Requests go on to be served.
func (r *Routes) Drain(ctx context.Context) error {
	r.health.SetState(web.Draining)
	if err := r.gateway.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
