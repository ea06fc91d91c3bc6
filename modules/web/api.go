// Package web holds what HTTP controllers share: typed routes with validation and an
// OpenAPI document, problems, paging, entity tags, health checks and middleware. Create an
// [API] with [New] and add operations with [Register]. The package has no routes under
// [Prefix] and knows no sockets or groups.
package web

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
)

// Prefix is the first part of the path of every operation, as in /v1/groups.
const Prefix = "/v1"

// maxBody is the default limit of a request body in bytes.
const maxBody = 1 << 20

const bearer = "bearer"

// Verifier returns the identity in a token. Its errors are faults.
type Verifier func(ctx context.Context, token string) (auth.Identity, error)

// API is a set of operations on a gin router. Register all operations before
// serving. Serving is safe for concurrent use.
type API struct {
	huma    huma.API
	router  gin.IRouter
	inside  *gin.Engine // see Do
	verify  Verifier
	log     *slog.Logger
	origins origins.Current
	version string

	node         string
	health       *Health
	registry     *prometheus.Registry
	limits       *limit.Limits
	tracer       tracing.Tracer
	durations    *prometheus.HistogramVec
	cursorKey    atomic.Pointer[[]byte]
	warned       tasks.Seldom        // limits log lines about a dependency that is down
	refused      tasks.Seldom        // limits log lines about refused tokens
	metricsRoute bool                // serve the registry
	rawPaths     bool                // the router matches escaped paths: see Own
	options      map[string][]string // the methods of each path

	docsToken func() (string, error)               // signs a token for the reader of /docs; may be nil
	sockets   func(codes []string) ([]byte, error) // describes the sockets; may be nil

	mu    sync.Mutex
	spec  []byte          // the encoded OpenAPI document; nil after a registration
	codes map[string]bool // codes of the problems that the operations describe
}

// Option configures an [API].
type Option func(*API)

// WithVersion sets the version in the OpenAPI document.
func WithVersion(version string) Option { return func(a *API) { a.version = version } }

// WithHealth serves h at /healthz and /readyz.
func WithHealth(h *Health) Option { return func(a *API) { a.health = h } }

// WithNode sets the node's id in /healthz.
func WithNode(id string) Option { return func(a *API) { a.node = id } }

// WithMetrics adds a histogram of the durations of requests to registry.
func WithMetrics(registry *prometheus.Registry) Option {
	return func(a *API) { a.registry = registry }
}

// WithMetricsRoute serves the registry of [WithMetrics] at [MetricsPath].
func WithMetricsRoute() Option { return func(a *API) { a.metricsRoute = true } }

// WithLimits limits the requests of a user.
func WithLimits(l *limit.Limits) Option { return func(a *API) { a.limits = l } }

// WithSockets serves a description of the sockets at /asyncapi.json. document is called
// with the codes of [API.Codes].
func WithSockets(document func(codes []string) ([]byte, error)) Option {
	return func(a *API) { a.sockets = document }
}

// WithDocsToken offers a token to the reader of /docs. Use it only for development, because
// anyone on this machine can read the token.
func WithDocsToken(sign func() (string, error)) Option { return func(a *API) { a.docsToken = sign } }

// New returns an API on router, which is an engine or a group with a prefix. It serves
// /openapi.json, /asyncapi.json, /docs and the routes of the options.
func New(router gin.IRouter, cfg Config, verify Verifier, log *slog.Logger, opts ...Option) *API {
	a := &API{verify: verify, log: log, version: "dev", options: map[string][]string{}, codes: map[string]bool{}}
	a.SetOrigins(cfg)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	a.SetCursorKey(key)
	for _, opt := range opts {
		opt(a)
	}
	if a.registry != nil {
		a.durations = newDurations(a.registry)
	}
	a.router = router.Group("", a.trace, RequestID, a.middleware)
	a.inside = a.newInside()
	a.huma = huma.NewAPI(a.config(), &adapter{api: a})
	a.serveDocs()
	a.serveHealth()
	a.serveMetrics()
	return a
}

// SetOrigins replaces the browser origins that may read responses by those of cfg, which
// must be valid.
func (a *API) SetOrigins(cfg Config) { a.origins.Store(cfg.origins()) }

// Own configures an engine that serves only Moim. Unknown routes and wrong
// methods become problems, and path parameters may contain escaped slashes.
func (a *API) Own(engine *gin.Engine) {
	matchRawPaths(engine)
	a.rawPaths = true
	engine.NoRoute(RequestID, a.middleware, a.noRoute)
	engine.NoMethod(RequestID, a.middleware, a.noMethod)
}

// matchRawPaths makes an engine match paths in the form in which they were sent, and refuse
// other forms.
func matchRawPaths(engine *gin.Engine) {
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	engine.UnescapePathValues = false // gin would decode + as a space; exchange.Param does not
}

// Register adds an operation whose path begins with [Prefix]. Unless the operation is
// [Public], requests need a valid token. It is verified before the body is read, and fn
// gets the identity with [Caller]. A body may have at most op.MaxBodyBytes bytes, by
// default 1 MiB. Errors of fn become problems by fault.From.
func Register[I, O any](a *API, op huma.Operation, fn func(ctx context.Context, in *I) (*O, error)) {
	if op.OperationID == "" {
		op.OperationID = huma.GenerateOperationID(op.Method, op.Path, new(O))
	}
	op = a.prepare(op)
	route := op.Method + " " + op.Path
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		done, err := a.run(ctx)
		if err != nil {
			return nil, a.problem(ctx, route, err)
		}
		defer done()
		out, err := fn(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, route, err)
		}
		return out, nil
	})
	a.describe(op)
}

// Public returns op as an operation that needs no token.
func Public(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{}
	return op
}

func isPublic(op *huma.Operation) bool { return op.Security != nil && len(op.Security) == 0 }

func (a *API) prepare(op huma.Operation) huma.Operation {
	if op.Security == nil {
		op.Security = []map[string][]string{{bearer: {}}}
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	if op.MaxBodyBytes > 0 {
		op.MaxBodyBytes++ // huma refuses a body of exactly the limit
	}
	responses := map[string]*huma.Response{"default": a.problemResponse()}
	for status, r := range op.Responses {
		responses[status] = r
	}
	op.Responses = responses
	return op
}

func (a *API) config() huma.Config {
	cfg := huma.DefaultConfig("Moim", a.version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // see serveDocs
	cfg.CreateHooks = nil                                       // no $schema in responses
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.Transformers = []huma.Transformer{a.translate}
	cfg.Info.Description = "Moim stores groups of people and sends every change of a group, in order, to its connected members."
	cfg.Servers = []*huma.Server{{URL: "."}} // relative, so that it works under any prefix
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	return cfg
}

type callerKey struct{}

// Caller returns the identity in a request's token. In public operations it is zero.
func Caller(ctx context.Context) auth.Identity {
	id, _ := ctx.Value(callerKey{}).(auth.Identity)
	return id
}

// handle adds a route, and OPTIONS for its path.
func (a *API) handle(method, path string, h gin.HandlerFunc) {
	methods, known := a.options[path]
	a.options[path] = append(methods, method)
	a.router.Handle(method, path, h)
	if !known {
		a.router.Handle(http.MethodOptions, path, func(c *gin.Context) {
			allowed := append(slices.Clone(a.options[path]), http.MethodOptions)
			slices.Sort(allowed)
			c.Header("Allow", strings.Join(allowed, ", "))
			a.preflight(c, allowed)
			c.Status(http.StatusNoContent)
		})
	}
}
