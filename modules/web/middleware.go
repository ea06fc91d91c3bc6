package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moim-live/moim/internal/proxies"
	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/fault"
)

// middleware measures every request, recovers from panics and sets the CORS
// headers.
func (a *API) middleware(c *gin.Context) {
	start := time.Now()
	defer func() { a.observe(c, time.Since(start)) }()
	defer a.recover(c)
	NoSniff(c)
	a.cors(c)
	c.Next()
}

// RequestID is a middleware that gives a request an id and returns it in the response.
// [API] does the same for its own routes.
func RequestID(c *gin.Context) {
	ctx := c.Request.Context()
	id := requestid.From(ctx)
	if id == "" {
		id = requestid.Of(c.Request)
		c.Request = c.Request.WithContext(requestid.With(ctx, id))
	}
	c.Header(requestid.Header, id)
}

// NoSniff is a middleware that makes browsers trust the content type of a
// response. [API] does the same for its own routes.
func NoSniff(c *gin.Context) { c.Header("X-Content-Type-Options", "nosniff") }

// ClientAddress returns a middleware for requests through a trusted proxy: it replaces the
// remote address by the client's.
func ClientAddress(trusted proxies.List) gin.HandlerFunc {
	return func(c *gin.Context) { c.Request.RemoteAddr = trusted.Client(c.Request) }
}

// maxRest is how many bytes ReadRest reads. The time is bounded by the server's ReadTimeout.
const maxRest = 16 << 20

// ReadRest is a middleware that reads what is left of a request's body after the request is
// answered, up to 16 MiB. Otherwise net/http closes the connection, and a client that sends
// its whole body before it reads sees an error instead of the answer. A client that sent
// Expect waits for the answer, so its body is not read.
func ReadRest(c *gin.Context) {
	body := c.Request.Body
	c.Next()
	if c.GetHeader("Expect") == "" && c.GetHeader("Upgrade") == "" {
		_, _ = io.CopyN(io.Discard, body, maxRest) // if it fails, net/http closes the connection
	}
}

// observe measures and logs a request by its route. It does not log the path and
// the query, because they may contain secrets.
func (a *API) observe(c *gin.Context, took time.Duration) {
	method, route := c.Request.Method, c.FullPath()
	if route == "" {
		route = "unmatched"
		if !slices.Contains(knownMethods, method) { // limit the number of metrics
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

// knownMethods are the methods of HTTP. A client may send any other word.
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
	a.log.ErrorContext(c.Request.Context(), "web: a handler panicked", "route", c.Request.Method+" "+c.FullPath(),
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.Abort()
	if c.Writer.Written() {
		panic(http.ErrAbortHandler) // disconnect, so that the client notices that a part is missing
	}
	newProblem(c.Request.Context(), fault.ErrInternal).write(c)
}

// cors lets pages of the allowed origins read responses. It allows no
// credentials, because tokens are in a header.
func (a *API) cors(c *gin.Context) {
	allowed := a.origins.Load()
	if allowed.SameOnly() {
		return
	}
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	if origin := c.GetHeader("Origin"); origin != "" && allowed.Allows(c.Request) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, Location, "+requestid.Header)
	}
}

// preflight answers a CORS preflight request.
func (a *API) preflight(c *gin.Context, methods []string) {
	h := c.Writer.Header()
	if h.Get("Access-Control-Allow-Origin") == "" || c.GetHeader("Access-Control-Request-Method") == "" {
		return
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Idempotency-Key, Traceparent, Tracestate, "+requestid.Header)
	h.Set("Access-Control-Max-Age", "600")
}

func newDurations(registry *prometheus.Registry) *prometheus.HistogramVec {
	return promauto.With(registry).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "moim_http_request_duration_seconds",
		Help:    "Time from the first byte of a request to the last byte of its response.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "status"})
}

// MetricsPath is where Prometheus reads the metrics.
const MetricsPath = "/metrics"

// Metrics serves the metrics of a registry.
func Metrics(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

func (a *API) serveMetrics() {
	if a.registry != nil && a.metricsRoute {
		a.handle(http.MethodGet, MetricsPath, gin.WrapH(Metrics(a.registry)))
	}
}
