package web

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/internal/tracing"
)

var errFailed = errors.New("the node could not serve the request")

// WithTracer creates a span for each operation.
func WithTracer(t tracing.Tracer) Option { return func(a *API) { a.tracer = t } }

// trace creates the span of an operation. It is named after the route, because paths may
// contain secrets. If the client has not set an id for its request, the request gets the id
// of the trace.
func (a *API) trace(c *gin.Context) {
	route := c.FullPath()
	if !a.tracer.On() || !strings.Contains(route, Prefix+"/") {
		return
	}
	ctx, span := a.tracer.Start(tracing.FromHeader(c.Request.Context(), c.Request.Header), c.Request.Method+" "+route, tracing.Server)
	id := requestid.Asked(c.Request)
	if id == "" {
		id = span.TraceID()
	}
	c.Request = c.Request.WithContext(requestid.With(ctx, id))
	defer func() {
		var failed error
		status := c.Writer.Status()
		if status >= 500 {
			failed = errFailed
		}
		if span.On() {
			span.Set(tracing.String("http.request.method", c.Request.Method), tracing.String("http.route", route),
				tracing.Int("http.response.status_code", status), tracing.String("moim.request.id", id))
		}
		span.End(failed)
	}()
	c.Next()
}
