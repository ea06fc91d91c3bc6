package tracing_test

import (
	"context"
	"errors"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/moim-live/moim/internal/tracing"
)

// TestOffCostsNothing checks that no memory is allocated without a provider.
func TestOffCostsNothing(t *testing.T) {
	ctx := t.Context()
	for name, fn := range map[string]func(){
		"child": func() {
			_, span := tracing.Child(ctx, "sql write", tracing.Client)
			if span.On() {
				t.Error("a span without a trace")
			}
			span.End(nil)
		},
		"start": func() {
			_, span := tracing.Tracer{}.Start(ctx, "POST /v1/groups", tracing.Server)
			span.End(nil)
		},
		"carry":  func() { _ = tracing.Carry(ctx) },
		"record": func() { tracing.Tracer{}.Record("", "", tracing.Server, begin, begin) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTraces checks that a trace continues in another process.
func TestTraces(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	tracer := tracing.New(provider)
	ctx, root := tracer.Start(t.Context(), "root", tracing.Server)
	_, child := tracing.Child(ctx, "child", tracing.Client)
	child.End(errors.New("broken"))
	tracer.Record(tracing.Carry(ctx), "there", tracing.Consumer, begin, begin)
	tracer.Record("not a traceparent", "alone", tracing.Consumer, begin, begin)
	root.End(nil)
	for _, span := range recorder.Ended() {
		inside := span.SpanContext().TraceID().String() == root.TraceID()
		if inside == (span.Name() == "alone") {
			t.Errorf("%s is in the trace: %v", span.Name(), inside)
		}
	}
	if n := len(recorder.Ended()); n != 4 {
		t.Errorf("%d spans", n)
	}
	unsampled := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	ctx, span := unsampled.Start(t.Context(), "root", tracing.Server)
	if span.On() || tracing.Carry(ctx) != "" {
		t.Error("a trace that is not sampled leaves the process")
	}
}

func BenchmarkOff(b *testing.B) {
	ctx := context.WithValue(b.Context(), key{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		_, span := tracing.Child(ctx, "sql write", tracing.Client)
		span.End(nil)
	}
}

type key struct{}

var begin = time.Unix(1_700_000_000, 0)
