package web_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

// TestAnswersToHostileBodiesAreSmall sends bodies that are expensive to validate to two
// operations. huma validates one, and the other validates by itself.
func TestAnswersToHostileBodiesAreSmall(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	const all = fault.MaxFields
	unknown := func(n int) string { return `{"name":"x"` + manyFields(n) + "}" }
	for name, c := range map[string]struct {
		path, body string
		status     int
		errors     int
		says       string
	}{
		"95,000 unknown fields": {"/things", unknown(95_000), 422, 1, "at most 10000 fields"},
		"9,000 unknown fields":  {"/things", unknown(9_000), 422, all, "the first 50"},
		"wrong elements":        {"/things", `{"name":"x","members":[` + strings.Repeat("0,", 100_000) + `0]}`, 422, all, "the first 50"},
		"nested 1,000 levels":   {"/things", strings.Repeat(`{"inner":`, 1000) + "1" + strings.Repeat("}", 1000), 422, 1, "at most 128 levels"},
		"nested 500,000 levels": {"/own", strings.Repeat(`[`, 500_000) + strings.Repeat("]", 500_000), 422, 1, "at most 128 levels"},
		"a long unknown name":   {"/things", `{"name":"x","` + strings.Repeat("x", 1_000_000) + `":0}`, 422, 1, "xxx…"},
		"a long key":            {"/things", `{"name":"x","extra":{"` + strings.Repeat("x", 1_000_000) + `":0}}`, 422, 1, "xxx…"},
		"a million digits":      {"/things", `{"name":"x","size":` + strings.Repeat("9", 1_000_000) + `}`, 400, 0, "bad_request"},
		"the same, own":         {"/own", `{"name":"x","size":` + strings.Repeat("9", 1_000_000) + `}`, 422, 1, "size"},
		"a broken escape":       {"/things", `{"name":"` + strings.Repeat("x", 1_000_000) + `\u00g0"}`, 400, 0, "bad_request"},
		"never closed":          {"/own", `{"name":"` + strings.Repeat("x", 1_000_000), 400, 0, "bad_request"},
		"too large":             {"/things", strings.Repeat(" ", 1<<20+1), 413, 0, "payload_too_large"},
	} {
		got := s.do("POST", web.Prefix+c.path, c.body)
		var p web.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.status != c.status || len(p.Errors) != c.errors || !strings.Contains(got.body, c.says) || len(got.body) > 32<<10 {
			t.Errorf("%s: %d, %d mistakes in %d bytes: %.200s", name, got.status, len(p.Errors), len(got.body), got.body)
		}
	}
	if n := len(s.logs.String()); n > 64<<10 {
		t.Errorf("%d bytes were logged", n)
	}
}

// BenchmarkHostileBody sends bodies of growing size to an operation that huma validates. The time
// for each byte must not grow.
func BenchmarkHostileBody(b *testing.B) {
	engine := quietEngine()
	for name, body := range map[string]func(times int) string{
		"unknown": func(times int) string { return `{"name":"x"` + manyFields(90*times) + "}" },
		"wrong":   func(times int) string { return `{"name":"x","members":[` + strings.Repeat("0,", 500*times) + "0]}" },
		"deep":    func(times int) string { return strings.Repeat("[", 500*times) + strings.Repeat("]", 500*times) },
		"text":    func(times int) string { return `{"name":"` + strings.Repeat("x", 1000*times) + `"}` },
	} {
		for _, times := range []int{1, 10, 100} {
			sent := body(times)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(sent)))
				for b.Loop() {
					req := httptest.NewRequestWithContext(b.Context(), "POST", web.Prefix+"/things", strings.NewReader(sent))
					req.Header.Set("Authorization", "Bearer "+token)
					engine.ServeHTTP(httptest.NewRecorder(), req)
				}
			})
		}
	}
}

// BenchmarkHostileHeader reads headers and cursors of growing size.
func BenchmarkHostileHeader(b *testing.B) {
	api := web.New(gin.New(), web.Config{}, verify, slog.New(slog.DiscardHandler))
	for name, read := range map[string]func(value string){
		"If-Match": func(value string) { _, _, _ = web.ParseIfMatch(`"` + value + `"`) },
		"cursor":   func(value string) { _, _ = api.ParseCursor("things", value) },
	} {
		for _, times := range []int{1, 10, 100} {
			value := strings.Repeat("9", 300*times)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(value)))
				for b.Loop() {
					read(value)
				}
			})
		}
	}
}

func quietEngine() *gin.Engine {
	engine := gin.New()
	api := web.New(engine, web.Config{}, verify, slog.New(slog.DiscardHandler))
	api.Own(engine)
	routes(api)
	return engine
}

func manyFields(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `,"f%d":0`, i)
	}
	return out.String()
}
