package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/asyncapi"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

// The paths of the socket endpoints.
const socketIOPath, plainPath = "/socket.io/", "/ws"

// docsTokenTTL is the validity of the token that /docs offers.
const docsTokenTTL = 8 * time.Hour

// Routes holds everything that Moim serves: the HTTP API, the two socket endpoints, health
// checks, metrics and the documentation.
type Routes struct {
	parts routesParams

	api       *web.API // nil before Mount
	cursorKey []byte   // nil before the node is ready

	remembered *auth.Remembered // recently verified tokens
}

type routesParams struct {
	fx.In

	Config   web.Config
	Auth     auth.Config
	Version  version
	Verifier *auth.Verifier
	Log      *slog.Logger
	Out      *socket.Emitter
	Health   *web.Health
	Metrics  *prometheus.Registry
	Groups   *api.Controller
	Hooks    *hook.Controller
	Events   *api.Gateway
	Gateway  *socket.Gateway
	Limits   *limit.Limits
	Revoked  *auth.Revocations

	MetricsRoute metricsRoute
	Tracer       tracing.Tracer
}

func provideRoutes(p routesParams) *Routes {
	return &Routes{parts: p, remembered: auth.Remember(p.Verifier.Verify)}
}

// Mount adds the routes to router. Call it once.
func (r *Routes) Mount(router gin.IRouter) {
	p := r.parts
	router = router.Group("", web.ClientAddress(p.Config.TrustedProxies()))
	opts := []web.Option{web.WithVersion(string(p.Version)), web.WithNode(p.Out.NodeID()), web.WithHealth(p.Health), web.WithMetrics(p.Metrics), web.WithLimits(p.Limits), web.WithTracer(p.Tracer), web.WithSockets(p.describeSockets)}
	if p.Config.LoopbackOrigins { // development mode
		opts = append(opts, web.WithDocsToken(func() (string, error) {
			return p.Auth.Mint(auth.Identity{UserID: "reader", Name: "Reader", Expires: time.Now().Add(docsTokenTTL)})
		}))
	}
	if p.MetricsRoute {
		opts = append(opts, web.WithMetricsRoute())
	}
	r.api = web.New(router, p.Config, p.Revoked.Guard(r.remembered.Verify), p.Log, opts...)
	if r.cursorKey != nil {
		r.api.SetCursorKey(r.cursorKey)
	}
	p.Groups.Register(r.api)
	p.Hooks.Register(r.api)
	sockets := router.Group("", web.RequestID, web.NoSniff)
	sockets.Any(socketIOPath, gin.WrapF(p.Gateway.ServeSocketIO))
	sockets.GET(socketIOPath+":file", noClientFiles)
	sockets.GET(plainPath, gin.WrapF(p.Gateway.ServePlain))
}

// describeSockets returns the AsyncAPI document.
func (p routesParams) describeSockets(codes []string) ([]byte, error) {
	data := make(map[string]any)
	for typ, value := range group.EventData() {
		data[string(typ)] = value
	}
	return asyncapi.Document(asyncapi.Description{
		Version:  string(p.Version),
		Requests: p.Gateway.Events(),
		Pushes:   append(p.Events.Pushes(), p.Gateway.Pushes()...),
		Data:     map[string]map[string]any{group.EventPushed: data},
		Codes:    append(codes, socket.UnknownEvent),
	})
}

// noClientFiles answers a page that loads socket.io.js from here, which Node's server
// allows, with where to find the file.
func noClientFiles(c *gin.Context) {
	c.String(http.StatusNotFound, "Moim does not serve Socket.IO's client: bundle the npm package socket.io-client, or serve its dist/socket.io.min.js\n")
}

// setCursorKey sets the key of cursors. It may be called before or after Mount.
func (r *Routes) setCursorKey(key []byte) {
	r.cursorKey = key
	if r.api != nil {
		r.api.SetCursorKey(key)
	}
}

// setOrigins sets the allowed browser origins. It may be called before or after Mount.
func (r *Routes) setOrigins(cfg web.Config) {
	r.parts.Config.Origins, r.parts.Config.LoopbackOrigins = cfg.Origins, cfg.LoopbackOrigins
	if r.api != nil {
		r.api.SetOrigins(cfg)
	}
}

// Drain makes the readiness check fail, and closes the sockets gradually until ctx ends.
// Requests are still served.
func (r *Routes) Drain(ctx context.Context) error {
	r.parts.Health.SetState(web.Draining)
	if err := r.parts.Gateway.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
