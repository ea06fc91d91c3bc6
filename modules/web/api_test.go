package web_test

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/web"
)

type (
	createIn struct {
		Body thing
	}
	thingOut struct {
		ETag string `header:"ETag"`
		Body thing
	}
	getIn struct {
		ID string `path:"id" maxLength:"20"`
	}
	getOut struct {
		Body struct {
			ID     string `json:"id"`
			Caller string `json:"caller"`
		}
	}
	listIn struct {
		web.Paging
	}
	listOut struct {
		Body web.Page[int]
	}
	optionalIn struct {
		Body *thing
	}
	none struct{}
)

func TestRequests(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	long := `{"name":"` + strings.Repeat("x", 60) + `"}`
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
		fields                   []string
	}{
		{name: "fine", method: "POST", path: "/v1/things", body: `{"name":"a"}`, status: 201},
		{name: "no content type", method: "POST", path: "/v1/things", body: `{"name":"a"}`, header: []string{"Content-Type", ""}, status: 201},
		{name: "merge patch type", method: "POST", path: "/v1/things", body: `{"name":"a"}`, header: []string{"Content-Type", "application/merge-patch+json"}, status: 201},
		{name: "no token", method: "POST", path: "/v1/things", body: `{`, header: []string{"Authorization", ""}, status: 401, code: "unauthenticated"},
		{name: "basic", method: "POST", path: "/v1/things", body: `{`, header: []string{"Authorization", "Basic abc"}, status: 401, code: "unauthenticated"},
		{name: "bad token before the body", method: "POST", path: "/v1/small", body: long + long, header: []string{"Authorization", "Bearer nope"}, status: 401, code: "unauthenticated"},
		{name: "lower case scheme", method: "GET", path: "/v1/things/1", header: []string{"Authorization", "bearer " + token}, status: 200},
		{name: "public", method: "GET", path: "/v1/open", header: []string{"Authorization", ""}, status: 204},
		{name: "missing field", method: "POST", path: "/v1/things", body: `{}`, status: 422, code: "validation_failed", fields: []string{"name"}},
		{name: "missing inner field", method: "POST", path: "/v1/things", body: `{"name":"a","inner":{}}`, status: 422, code: "validation_failed", fields: []string{"inner.count"}},
		{name: "unknown field", method: "POST", path: "/v1/things", body: `{"name":"a","colour":1}`, status: 422, code: "validation_failed", fields: []string{"colour"}},
		{name: "wrong type in a list", method: "POST", path: "/v1/things", body: `{"name":"a","members":["a",2]}`, status: 422, code: "validation_failed", fields: []string{"members[1]"}},
		{name: "all at once", method: "POST", path: "/v1/things", body: `{"name":"","size":-1,"members":["1","2","3","4"]}`, status: 422, code: "validation_failed", fields: []string{"members", "name", "size"}},
		{name: "not an object", method: "POST", path: "/v1/things", body: `[]`, status: 422, code: "validation_failed", fields: []string{"body"}},
		{name: "a number that does not fit", method: "POST", path: "/v1/things", body: `{"name":"a","size":1e40}`, status: 422, code: "validation_failed", fields: []string{"size"}},
		{name: "malformed, own validation", method: "POST", path: "/v1/own", body: `{"name":`, status: 400, code: "bad_request"},
		{name: "not JSON, own validation", method: "POST", path: "/v1/own", body: `a`, header: []string{"Content-Type", "text/plain"}, status: 400, code: "bad_request"},
		{name: "no body, own validation", method: "POST", path: "/v1/own", status: 400, code: "bad_request"},
		{name: "wrong type, own validation", method: "POST", path: "/v1/own", body: `{"inner":{"count":"x"}}`, status: 422, code: "validation_failed", fields: []string{"inner.count"}},
		{name: "malformed", method: "POST", path: "/v1/things", body: `{"name":`, status: 400, code: "bad_request"},
		{name: "not JSON", method: "POST", path: "/v1/things", body: `name=a`, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 400, code: "bad_request"},
		{name: "no body", method: "POST", path: "/v1/things", status: 400, code: "bad_request"},
		{name: "optional body", method: "POST", path: "/v1/optional", status: 204},
		{name: "optional body, wrong", method: "POST", path: "/v1/optional", body: `{}`, status: 422, code: "validation_failed", fields: []string{"name"}},
		{name: "needs none", method: "POST", path: "/v1/things/1/touch", status: 204},
		{name: "needs none, empty object", method: "POST", path: "/v1/things/1/touch", body: `{}`, status: 204},
		{name: "too large", method: "POST", path: "/v1/small", body: long, status: 413, code: "payload_too_large"},
		{name: "too large by default", method: "POST", path: "/v1/things", body: strings.Repeat(" ", 1<<20) + "1", status: 413, code: "payload_too_large"},
		{name: "as large as allowed", method: "POST", path: "/v1/small", body: `{"name":"a"}` + strings.Repeat(" ", 52), status: 200},
		{name: "limit too high", method: "GET", path: "/v1/things?limit=201", status: 422, code: "validation_failed", fields: []string{"limit"}},
		{name: "limit no number", method: "GET", path: "/v1/things?limit=many", status: 422, code: "validation_failed", fields: []string{"limit"}},
		{name: "limit too low", method: "GET", path: "/v1/things?limit=0", status: 422, code: "validation_failed", fields: []string{"limit"}},
		{name: "cursor forged", method: "GET", path: "/v1/things?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", status: 400, code: "bad_request"},
		{name: "path too long", method: "GET", path: "/v1/things/" + strings.Repeat("x", 21), status: 422, code: "validation_failed", fields: []string{"id"}},
		{name: "NUL in the path", method: "GET", path: "/v1/things/a%00b", status: 400, code: "bad_request"},
		{name: "broken UTF-8 in the query", method: "GET", path: "/v1/things?q=%ff", status: 400, code: "bad_request"},
		{name: "malformed query", method: "GET", path: "/v1/things?q=%zz", status: 400, code: "bad_request"},
		{name: "unknown route", method: "GET", path: "/v1/nothing", status: 404, code: "not_found"},
		{name: "trailing slash", method: "GET", path: "/v1/things/", status: 404, code: "not_found"},
		{name: "wrong method", method: "DELETE", path: "/v1/things", status: 405, code: "method_not_allowed"},
		{name: "panic", method: "GET", path: "/v1/panic", status: 500, code: "internal"},
		{name: "unencodable", method: "GET", path: "/v1/unencodable", status: 500, code: "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{t: t, http: s.http, logs: s.logs}
			a := s.do(tt.method, tt.path, tt.body, tt.header...)
			if tt.code == "" {
				if a.status != tt.status {
					t.Errorf("status %d %s; want %d", a.status, a.body, tt.status)
				}
				return
			}
			p := s.problem(a, tt.status, tt.code)
			var got []string
			for _, f := range p.Errors {
				got = append(got, f.Field)
				if f.Message == "" || strings.Contains(f.Message, "Go ") {
					t.Errorf("message %q", f.Message)
				}
			}
			if diff := cmp.Diff(tt.fields, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%s", diff, a.body)
			}
		})
	}
	if got := s.logs.String(); strings.Contains(got, token) || strings.Contains(got, "AAAAAAAA") {
		t.Error("a token or a query reached the log")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	tests := []struct {
		id     string
		status int
		code   string
		retry  string
	}{
		{"unknown", 500, "internal", ""},
		{"odd", 500, "internal", ""},
		{"forbidden", 403, "forbidden", ""},
		{"notfound", 404, "not_found", ""},
		{"gone", 410, "log_truncated", ""},
		{"conflict", 409, "group_full", ""},
		{"changed", 412, "version_conflict", ""},
		{"toolarge", 413, "payload_too_large", ""},
		{"limited", 429, "rate_limited", "2"},
		{"unavailable", 503, "unavailable", "2"},
		{"invalid", 422, "validation_failed", ""},
	}
	for _, tt := range tests {
		a := s.do("GET", "/v1/fail/"+tt.id, "")
		s.problem(a, tt.status, tt.code)
		if got := a.header.Get("Retry-After"); got != tt.retry {
			t.Errorf("%s: Retry-After %q, want %q", tt.id, got, tt.retry)
		}
		if strings.Contains(a.body, "hunter2") || strings.Contains(a.body, "refused") {
			t.Errorf("%s: a cause reached the client: %s", tt.id, a.body)
		}
	}
	for _, want := range []string{"hunter2", "dial tcp: refused"} {
		if !strings.Contains(s.logs.String(), want) {
			t.Errorf("the log does not tell the cause %q", want)
		}
	}
	if a := s.do("GET", "/v1/open", "", "Authorization", ""); a.status != 204 {
		t.Errorf("public: %d", a.status)
	}
	if a := s.do("GET", "/v1/things/1", "", "Authorization", ""); a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
}

func TestRefusedTokenLeavesALine(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	s.do("GET", "/v1/things/1", "", "Authorization", "") // it has no token
	for range 3 {
		s.do("GET", "/v1/things/1", "", "Authorization", "Bearer a-wrong-token")
	}
	log := s.logs.String()
	if n := strings.Count(log, `level=INFO msg="web: refused a token" because="the token's signature is wrong" remote=127.0.0.1:`); n != 1 {
		t.Errorf("%d lines, want one a minute:\n%s", n, log)
	}
	if strings.Contains(log, "a-wrong-token") {
		t.Errorf("the log has the token:\n%s", log)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	a := s.do("POST", "/v1/things", `{"name":"a<b"}`)
	if a.header.Get("ETag") != `"7"` || a.body != "{\"name\":\"a<b\"}\n" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %q", a.header, a.body)
	}
	for path, want := range map[string]string{
		"/v1/things/a%2Fb":     "a/b",
		"/v1/things/a+b%2Fc":   "a+b/c",
		"/v1/things/a%2525":    "a%25",
		"/v1/things/%ea%b0%80": "가",
		"/v1/things/a%252Fb":   "a%2Fb",
	} {
		var got struct{ ID, Caller string }
		a := s.do("GET", path, "")
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.ID != want || got.Caller != "alice" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	a = s.do("GET", "/v1/things", "")
	var page web.Page[int]
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := s.do("GET", "/v1/things?cursor="+page.NextCursor, ""); a.status != 200 {
		t.Errorf("second page: %d %s", a.status, a.body)
	}
	if !strings.Contains(s.logs.String(), "/v1/things") {
		t.Error("requests are not logged at debug")
	}
}

// TestRequestID checks that the id of the client's request is kept, and is in problems and in the
// log.
func TestRequestID(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	for _, path := range []string{"/v1/nowhere", "/v1/panic", "/v1/things/" + strings.Repeat("x", 21)} {
		a := s.do("GET", path, "", "X-Request-Id", "shop-42"+path)
		var p web.Problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.RequestID != "shop-42"+path {
			t.Errorf("%s: request %q, %v", path, p.RequestID, err)
		}
		if !strings.Contains(s.logs.String(), "requestId=shop-42"+path) {
			t.Errorf("%s: the request is not in the log", path)
		}
	}
	if !regexp.MustCompile(`web: a handler panicked.*requestId=shop-42/v1/panic`).MatchString(s.logs.String()) {
		t.Error("the panic has no id:", s.logs)
	}
	a := s.do("GET", "/v1/things/1", "", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if id := a.header.Get("X-Request-Id"); id != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("the trace's request has the id %q", id)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	listed := start(t, web.Config{Origins: []string{"https://App.example.com/", "http://localhost:3000"}})
	anyone := start(t, web.Config{Origins: []string{"*"}})
	same := start(t, web.Config{})
	tests := []struct {
		name   string
		s      *server
		origin string
		want   string
	}{
		{"listed", listed, "https://app.example.com", "https://app.example.com"},
		{"second", listed, "http://localhost:3000", "http://localhost:3000"},
		{"other", listed, "https://evil.io", ""},
		{"suffix", listed, "https://app.example.com.evil.io", ""},
		{"null", listed, "null", ""},
		{"any", anyone, "https://evil.io", "https://evil.io"},
		{"same origin only", same, "https://app.example.com", ""},
	}
	for _, tt := range tests {
		for _, path := range []string{"/v1/things/1", "/v1/none"} {
			a := tt.s.do("GET", path, "", "Origin", tt.origin)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("%s %s: allowed %q, want %q", tt.name, path, got, tt.want)
			}
			if (a.header.Get("Vary") == "Origin") != (tt.s != same) {
				t.Errorf("%s: Vary %q", tt.name, a.header.Get("Vary"))
			}
			if a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: credentials allowed", tt.name)
			}
		}
		a := tt.s.do("OPTIONS", "/v1/things/1", "", "Origin", tt.origin, "Access-Control-Request-Method", "GET", "Authorization", "")
		methods := a.header.Get("Access-Control-Allow-Methods")
		if a.status != 204 || (methods == "GET, OPTIONS") != (tt.want != "") || a.header.Get("Allow") != "GET, OPTIONS" {
			t.Errorf("%s: preflight %d %v", tt.name, a.status, a.header)
		}
	}
}

func TestUnderAPrefix(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	engine.GET("/host", func(c *gin.Context) { c.Status(200) })
	api := web.New(engine.Group("/rt"), web.Config{Origins: []string{"*"}}, verify, slog.New(slog.DiscardHandler))
	routes(api)
	s := &server{t: t, http: httptest.NewServer(engine), api: api, logs: &childtest.Log{}}
	t.Cleanup(s.http.Close)
	if a := s.do("GET", "/rt/v1/things/1", ""); a.status != 200 {
		t.Errorf("operation: %d", a.status)
	}
	if a := s.do("OPTIONS", "/rt/v1/things/1", ""); a.status != 204 {
		t.Errorf("preflight: %d", a.status)
	}
	if a := s.do("GET", "/rt/openapi.json", ""); a.status != 200 {
		t.Errorf("document: %d", a.status)
	}
	if a := s.do("GET", "/host", ""); a.status != 200 || a.header.Get("Vary") != "" {
		t.Errorf("the host's route was touched: %d %v", a.status, a.header)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{}, web.WithVersion("1.2.3"))
	a := s.do("GET", "/openapi.json", "", "Authorization", "")
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]any
		}
		Components struct {
			Schemas         map[string]any
			SecuritySchemes map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Title != "Moim" || doc.Info.Version != "1.2.3" || doc.Servers[0].URL != "." {
		t.Errorf("%s %v %v", doc.OpenAPI, doc.Info, doc.Servers)
	}
	if doc.Paths["/v1/things"]["post"].Security == nil || len(doc.Paths["/v1/open"]["get"].Security) != 0 {
		t.Error("security is wrong")
	}
	if doc.Paths["/v1/things"]["post"].Responses["default"] == nil || doc.Components.Schemas["Problem"] == nil {
		t.Error("problems are not documented")
	}
	if doc.Components.Schemas["ErrorModel"] != nil || strings.Contains(a.body, "ErrorModel") {
		t.Error("huma's own errors are documented")
	}
	page := s.do("GET", "/docs", "", "Authorization", "")
	if page.status != 200 || !strings.Contains(page.body, "<script>") {
		t.Fatalf("docs: %d", page.status)
	}
	for _, elsewhere := range []string{"http://", "https://", `src="`, `"/openapi`} {
		if strings.Contains(page.body, elsewhere) {
			t.Errorf("the page holds %q", elsewhere)
		}
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'sha256-") {
		t.Errorf("policy %q", csp)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := start(t, web.Config{}, web.WithMetrics(registry), web.WithMetricsRoute())
	s.do("GET", "/v1/things/secret-id", "")
	s.do("GET", "/v1/fail/notfound", "")
	s.do("GET", "/v1/unknown-path", "")
	s.do("SECRET", "/v1/unknown-path", "")
	body := s.do("GET", "/metrics", "", "Authorization", "").body
	for _, want := range []string{
		`moim_http_request_duration_seconds_count{route="GET /v1/things/:id",status="2xx"} 1`,
		`moim_http_request_duration_seconds_count{route="GET /v1/fail/:id",status="4xx"} 1`,
		`moim_http_request_duration_seconds_count{route="GET unmatched",status="4xx"} 1`,
		`moim_http_request_duration_seconds_count{route="OTHER unmatched",status="4xx"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, "secret-id") || strings.Contains(body, "unknown-path") || strings.Contains(body, "SECRET") {
		t.Error("a value from a client became a label")
	}
}
