package requestid_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/requestid"
)

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"

func TestOf(t *testing.T) {
	t.Parallel()
	const parent = "00-" + trace + "-00f067aa0ba902b7-01"
	for _, c := range []struct{ name, id, parent, want string }{
		{"given", "Root=1-67891233-abc", parent, "Root=1-67891233-abc"},
		{"longest", strings.Repeat("x", 128), "", strings.Repeat("x", 128)},
		{"too long", strings.Repeat("x", 129), parent, trace},
		{"two lines", "a\nb", parent, trace},
		{"quoted", `a"b`, parent, trace},
		{"not ASCII", "é", parent, trace},
		{"traced", "", parent, trace},
		{"later version", "", "cc-" + trace + "-00f067aa0ba902b7-01-more", trace},
		{"nothing", "", "", ""},
		{"version ff", "", "ff-" + trace + "-00f067aa0ba902b7-01", ""},
		{"trailing", "", parent + "-00", ""},
		{"no dash", "", strings.Replace(parent, "-", "_", 1), ""},
		{"upper case", "", strings.ToUpper(parent), ""},
		{"zero trace", "", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", ""},
		{"zero span", "", "00-" + trace + "-0000000000000000-01", ""},
		{"short", "", "00-" + trace, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		if c.id != "" {
			r.Header.Set(requestid.Header, c.id)
		}
		if c.parent != "" {
			r.Header.Set("Traceparent", c.parent)
		}
		got := requestid.Of(r)
		if c.want == "" && (len(got) != 32 || got == trace || got == requestid.Of(r)) || c.want != "" && got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := requestid.Log(requestid.Log(slog.New(slog.NewTextHandler(&out, nil)))) // the second call wraps nothing
	ctx := requestid.With(context.Background(), "r1")
	log.InfoContext(ctx, "first")
	log.With("a", 1).WithGroup("g").InfoContext(ctx, "second", "b", 2)
	log.Info("outside of requests")
	if lines := strings.Split(out.String(), "\n"); strings.Count(lines[0], "requestId=r1") != 1 ||
		!strings.Contains(lines[1], "g.requestId=r1") || strings.Contains(lines[2], "requestId") {
		t.Error(out.String())
	}
}
