// Package web is what HTTP controllers share: typed routes with validation and
// an OpenAPI document, problems, paging, entity tags, health and the
// middleware around them. It knows no routes of its own under [Prefix] and
// nothing of sockets or groups.
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

	"github.com/moim-live/moim/modules/auth"
)

// Prefix begins the path of every operation: /v1/groups.
const Prefix = "/v1"

// maxBody is how many bytes a request body may have when the operation does
// not say.
const maxBody = 1 << 20

const bearer = "bearer"

// Verifier turns a token into an identity. Its errors are faults.
type Verifier func(ctx context.Context, token string) (auth.Identity, error)

// API is a set of operations on a gin router. Register everything before
// serving; serving is safe for concurrent use.
type API struct {
	huma    huma.API
	router  gin.IRouter
	verify  Verifier
	log     *slog.Logger
	origins []string
	version string

	health    *Health
	registry  *prometheus.Registry
	durations *prometheus.HistogramVec
	cursorKey atomic.Pointer[[]byte]
	warned    atomic.Int64        // when refusals were logged, in ns
	rawPaths  bool                // the router matches escaped paths: see Own
	options   map[string][]string // methods of each path

	mu   sync.Mutex
	spec []byte // the OpenAPI document, encoded; nil after a registration
}

// Option configures an [API].
type Option func(*API)

// WithVersion sets the version that the OpenAPI document shows.
func WithVersion(version string) Option { return func(a *API) { a.version = version } }

// WithHealth serves h at /healthz and /readyz.
func WithHealth(h *Health) Option { return func(a *API) { a.health = h } }

// WithMetrics serves registry at /metrics and adds the durations of requests
// to it.
func WithMetrics(registry *prometheus.Registry) Option {
	return func(a *API) { a.registry = registry }
}

// WithCursorKey sets the key that signs cursors: the same on every node.
// Without one each process makes its own, and a cursor is good for one node.
func WithCursorKey(key []byte) Option { return func(a *API) { a.SetCursorKey(key) } }

// New returns an API on router: an engine, or a group with a prefix of its
// own. It serves /openapi.json and /docs, and what the options ask for.
func New(router gin.IRouter, cfg Config, verify func(ctx context.Context, token string) (auth.Identity, error), log *slog.Logger, opts ...Option) *API {
	a := &API{verify: verify, log: log, version: "dev", options: map[string][]string{}}
	for _, origin := range cfg.Origins {
		if origin != "*" {
			origin = normalOrigin(origin)
		}
		a.origins = append(a.origins, origin)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	a.SetCursorKey(key)
	for _, opt := range opts {
		opt(a)
	}
	if a.registry != nil {
		a.durations = newDurations(a.registry)
	}
	a.router = router.Group("", a.around)
	a.huma = huma.NewAPI(a.config(), &adapter{api: a})
	a.serveDocs()
	a.serveHealth()
	a.serveMetrics()
	return a
}

// Own makes the API answer for the whole engine: unknown routes and wrong
// methods become problems, and path parameters may hold escaped slashes. Use
// it on an engine that serves nothing but Moim.
func (a *API) Own(engine *gin.Engine) {
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	engine.UnescapePathValues = false // gin takes + for a space; exchange.Param does not
	a.rawPaths = true
	engine.NoRoute(a.around, a.noRoute)
	engine.NoMethod(a.around, a.noMethod)
}

// Register adds an operation whose path begins with [Prefix]. Unless it is
// [Public] it needs a valid token, looked at before the body; the caller is
// [Caller]. Bodies are at most op.MaxBodyBytes, 1 MiB when that is 0. Errors
// of fn become problems by fault.From.
func Register[I, O any](a *API, op huma.Operation, fn func(ctx context.Context, in *I) (*O, error)) {
	if op.OperationID == "" {
		op.OperationID = huma.GenerateOperationID(op.Method, op.Path, new(O))
	}
	op = a.prepare(op)
	route := op.Method + " " + op.Path
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, route, err)
		}
		return out, nil
	})
	a.mu.Lock()
	a.spec = nil
	a.mu.Unlock()
}

// Public returns op marked as one that needs no token.
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
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // our own, below
	cfg.CreateHooks = nil                                       // no $schema in answers
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.Transformers = []huma.Transformer{a.translate}
	cfg.Info.Description = "Groups of people, and every change of a group shown at once and in order to the members who are connected."
	cfg.Servers = []*huma.Server{{URL: "."}} // relative: right under any prefix
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	return cfg
}

type callerKey struct{}

// Caller returns who a request speaks for: the zero Identity in public
// operations.
func Caller(ctx context.Context) auth.Identity {
	id, _ := ctx.Value(callerKey{}).(auth.Identity)
	return id
}

// handle adds a route and an answer to OPTIONS for its path.
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
