package redisrole_test

import (
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestTraces checks the spans of calls in a trace. They must not contain keys and values.
func TestTraces(t *testing.T) {
	t.Parallel()
	clients, err := redisrole.New(redisrole.Config{URL: redistest.Start(t).URL()}, "n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	client := clients.Client(redisrole.Group)
	recorder := tracetest.NewSpanRecorder()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	if err := client.Set(t.Context(), "untraced", "1", 0).Err(); err != nil || len(recorder.Started()) > 0 {
		t.Fatal(err, recorder.Started())
	}
	ctx, root := tracer.Start(t.Context(), "request", tracing.Server)
	client.Get(ctx, "a secret key")
	pipe := client.Pipeline()
	pipe.Get(ctx, "a secret key")
	_, _ = pipe.Exec(ctx) // a missing key is not a failure
	client.Do(ctx, "NO SUCH COMMAND")
	root.End(nil)
	var got []string // connecting may add more spans
	for _, s := range recorder.Ended() {
		got = append(got, s.Name()+" "+s.Status().Code.String())
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("%s has %s=%s", s.Name(), a.Key, a.Value.String())
			}
		}
	}
	for _, want := range []string{"redis call Unset", "redis pipeline Unset", "redis call Error", "request Unset"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
}
