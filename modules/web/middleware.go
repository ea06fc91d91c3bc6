package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moim-live/moim/modules/fault"
)

// around is what happens with every request: it is timed, survives panics and
// gets its CORS headers.
func (a *API) around(c *gin.Context) {
	start := time.Now()
	defer func() { a.observe(c, time.Since(start)) }()
	defer a.recover(c)
	NoSniff(c)
	a.cors(c)
	c.Next()
}

// NoSniff tells browsers to take an answer for what its content type says. It
// runs before everything that answers: API does it for its own routes.
func NoSniff(c *gin.Context) { c.Header("X-Content-Type-Options", "nosniff") }

// observe logs the route, never the path or the query: both may hold secrets.
func (a *API) observe(c *gin.Context, took time.Duration) {
	method, route := c.Request.Method, c.FullPath()
	if route == "" {
		route = "unmatched"
		if !slices.Contains(knownMethods, method) { // each would be counted on its own
			method = "OTHER"
		}
	}
	status := c.Writer.Status()
	if a.durations != nil {
		a.durations.WithLabelValues(method+" "+route, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	}
	if !a.log.Enabled(c.Request.Context(), slog.LevelDebug) {
		return
	}
	a.log.DebugContext(c.Request.Context(), "web: request",
		"method", c.Request.Method, "route", route, "status", status,
		"took", took, "bytes", max(c.Writer.Size(), 0), "remote", c.Request.RemoteAddr)
}

// knownMethods are HTTP's own: a client can send any word.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

func (a *API) recover(c *gin.Context) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	a.log.Error("web: a handler panicked", "route", c.Request.Method+" "+c.FullPath(),
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.Abort()
	if c.Writer.Written() {
		panic(http.ErrAbortHandler) // cut the connection: half an answer must not look whole
	}
	newProblem(fault.ErrInternal).write(c)
}

// cors lets the browsers of listed origins read answers. Tokens travel in a
// header, so no origin is allowed credentials.
func (a *API) cors(c *gin.Context) {
	if len(a.origins) == 0 {
		return
	}
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	if origin := c.GetHeader("Origin"); origin != "" && a.allowed(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, Location")
	}
}

func (a *API) allowed(origin string) bool {
	return slices.Contains(a.origins, "*") || slices.Contains(a.origins, strings.ToLower(origin))
}

// preflight answers a browser that asks before it sends.
func (a *API) preflight(c *gin.Context, methods []string) {
	h := c.Writer.Header()
	if h.Get("Access-Control-Allow-Origin") == "" || c.GetHeader("Access-Control-Request-Method") == "" {
		return
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Idempotency-Key")
	h.Set("Access-Control-Max-Age", "600")
}

func newDurations(registry *prometheus.Registry) *prometheus.HistogramVec {
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "moim_http_request_duration_seconds",
		Help:    "Time from the first byte of a request to the last of its answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "status"})
	if err := registry.Register(durations); err != nil {
		if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if same, ok := known.ExistingCollector.(*prometheus.HistogramVec); ok {
				return same
			}
		}
	}
	return durations
}

func (a *API) serveMetrics() {
	if a.registry != nil {
		a.handle(http.MethodGet, "/metrics", gin.WrapH(promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{})))
	}
}
