// Package tracing creates the spans of OpenTelemetry traces. Without a provider it creates
// none and costs nothing. It has no global state: starting a trace needs a [Tracer], and
// spans inside the trace use the provider of the span in the context.
package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// name is the instrumentation scope of all spans.
const name = "github.com/moim-live/moim"

// parentHeader is the key of W3C Trace Context.
const parentHeader = "traceparent"

// Kind is the side of an exchange that a span describes.
type Kind = trace.SpanKind

// The kinds of spans.
const (
	Server   = trace.SpanKindServer
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Tracer starts traces, and continues those of other processes. The zero value creates no
// spans. It is safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

// New returns a tracer of a provider. With nil, it makes no spans.
func New(p trace.TracerProvider) Tracer {
	if p == nil {
		return Tracer{}
	}
	return Tracer{p.Tracer(name)}
}

// On reports whether traces are created.
func (t Tracer) On() bool { return t.tracer != nil }

// Start begins a span in the trace of ctx, or a new trace.
func (t Tracer) Start(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	if t.tracer == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Record adds a finished span to the trace of parent, which comes from [Carry].
func (t Tracer) Record(parent, name string, kind Kind, began, ended time.Time, attrs ...Attr) {
	if t.tracer == nil || parent == "" {
		return
	}
	_, span := t.tracer.Start(Continue(context.Background(), parent), name,
		trace.WithSpanKind(kind), trace.WithTimestamp(began), trace.WithAttributes(attrs...))
	span.End(trace.WithTimestamp(ended))
}

// FromHeader returns ctx with the trace in the headers of a request.
func FromHeader(ctx context.Context, h http.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(h))
}

// Carry returns the traceparent of the recorded span in ctx, for other processes, or "" if
// there is none.
func Carry(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[parentHeader]
}

// Continue returns ctx with the trace of parent, which comes from Carry in another process.
func Continue(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{parentHeader: parent})
}

// Child starts a span if ctx has a recorded span.
func Child(ctx context.Context, span string, kind Kind) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, child := parent.TracerProvider().Tracer(name).Start(ctx, span, trace.WithSpanKind(kind))
	return ctx, Span{child}
}

// Span is a part of a trace. The zero value means no span.
type Span struct{ span trace.Span }

// On reports whether the span is recorded. If not, do not compute attributes.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// TraceID returns the id of the trace.
func (s Span) TraceID() string { return s.span.SpanContext().TraceID().String() }

// Set adds attributes.
func (s Span) Set(attrs ...Attr) {
	if s.span != nil {
		s.span.SetAttributes(attrs...)
	}
}

// End ends the span. An error marks it as failed.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

// Attr is a property of a span.
type Attr = attribute.KeyValue

// String returns an attribute with a text.
func String(key, value string) Attr { return attribute.String(key, value) }

// Int returns an attribute with a number.
func Int(key string, value int) Attr { return attribute.Int(key, value) }
