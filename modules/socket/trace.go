package socket

import (
	"context"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/fault"
)

// trace starts a span for a request, named after its event.
func (g *Gateway) trace(ctx context.Context, s *Socket, event string) (context.Context, tracing.Span) {
	if !g.deps.Tracer.On() {
		return ctx, tracing.Span{}
	}
	ctx, span := g.deps.Tracer.Start(ctx, "socket "+event, tracing.Server)
	if span.On() {
		span.Set(tracing.String("moim.socket.id", s.ID()), tracing.String("moim.request.id", requestid.From(ctx)))
	}
	return ctx, span
}

// endTrace ends the span. Only a failure of the server marks it as failed.
func endTrace(span tracing.Span, failure *fault.Error) {
	if failure == nil {
		span.End(nil)
		return
	}
	if span.On() {
		span.Set(tracing.String("moim.code", failure.Code))
	}
	if outcome(failure) == "failed" {
		span.End(failure)
		return
	}
	span.End(nil)
}
