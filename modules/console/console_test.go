package console

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	b := begin(t, nil)
	status, body := b.get("")
	b.want(status, body, 200, "<h1>Sign in</h1>")
	if strings.Contains(body, "developer") {
		t.Error("a production node offers the session of development mode")
	}
	status, body = b.post("/sign-in", url.Values{"development": {"yes"}})
	b.want(status, body, 403, "not in development mode")
	status, body = b.signInAs("user")
	b.want(status, body, 403, "this is the token of a user")
	status, body = b.signInAs("wrong")
	b.want(status, body, 401, "You are not signed in")
	status, body = b.signInAs(strings.Repeat("x", 4000))
	b.want(status, body, 400, "the token has 4000 bytes")

	status, body = b.signInAs("admin")
	b.want(status, body, 200, "<h1>Overview</h1>", "ops", "Sign out")
	status, body = b.get("/nowhere")
	b.want(status, body, 404, "the console has no such page")
	b.mu.Lock()
	b.refused["admin"] = fault.ErrUnauthorized
	b.mu.Unlock()
	status, body = b.get("/audit")
	b.want(status, body, 200, "<h1>Sign in</h1>", "Your session has ended")

	status, body = b.signInAs("console.read")
	b.want(status, body, 200, "<h1>Overview</h1>", "may only look")
	status, body = b.post("/sign-out", nil)
	b.want(status, body, 200, "You have signed out")
	status, body = b.get("/")
	b.want(status, body, 200, "<h1>Sign in</h1>")
}

// TestCookie checks that the cookie is only for the console, and only for TLS if the client uses
// TLS.
func TestCookie(t *testing.T) {
	t.Parallel()
	b := begin(t, nil)
	b.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, proto := range []string{"http", "https"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/sign-in", strings.NewReader("token=admin"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-Proto", proto)
		res, err := b.browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		cookie := res.Cookies()[0]
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "" || cookie.Secure != (proto == "https") {
			t.Errorf("over %s: %+v", proto, cookie)
		}
		if to := res.Header.Get("Location"); to != "./" {
			t.Errorf("it leads to %q", to)
		}
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	c := New(Config{Enabled: toggle.Off}, Deps{})
	c.Register(engine)
	c.Mount(engine)
	for _, path := range []string{"/", "/console", "/console/", "/console/sign-in", "/console/assets/console.css"} {
		res := httptest.NewRecorder()
		engine.ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if res.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.Code)
		}
	}
}

// TestStartPage checks that the links from the page at / to the console work.
func TestStartPage(t *testing.T) {
	t.Parallel()
	engine := gin.New()
	New(Config{}, Deps{Mint: func(auth.Identity) (string, error) { return "token", nil }}).Register(engine)
	get := func(path string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.Host = "127.0.0.1:8080"
		res := httptest.NewRecorder()
		engine.ServeHTTP(res, req)
		return res
	}
	page := get("/").Body.String()
	links := regexp.MustCompile(`(?:href|src)="(console/[^"]*)"`).FindAllStringSubmatch(page, -1)
	if !strings.Contains(page, `<a href="console/">`) || len(links) < 3 {
		t.Fatalf("the page has the links %q:\n%s", links, page)
	}
	for _, link := range links {
		if res := get("/" + link[1]); res.Code >= http.StatusBadRequest {
			t.Errorf("%s: %d", link[1], res.Code)
		}
	}
}

func TestDevelopment(t *testing.T) {
	t.Parallel()
	b := begin(t, func(auth.Identity) (string, error) { return "admin", nil })
	status, body := b.get("/sign-in")
	b.want(status, body, 200, "Sign in as developer")
	status, body = b.post("/sign-in", url.Values{"development": {"yes"}})
	b.want(status, body, 200, "<h1>Overview</h1>")
}

func TestViews(t *testing.T) {
	t.Parallel()
	b := begin(t, nil)
	b.signInAs("console.read")
	status, body := b.get("/")
	b.want(status, body, 200, "The node n3 does not answer", "redis:6379/0", "no route", "<td>7</td>", `href="?node=n1"`, "all nodes")
	status, body = b.get("/?node=n1")
	b.want(status, body, 200, "The last 15 minutes: n1", "Sockets: 3 now, 3 at most")
	status, body = b.get("/configuration?only=set")
	b.want(status, body, 200, "log.level", "moim.yaml")
	if strings.Contains(body, "http.addr") {
		t.Error("it shows a default")
	}

	b.entries = 60
	status, body = b.get("/audit?actor=billing")
	b.want(status, body, 200, "&lt;b&gt;mallory", "?actor=billing&amp;after=0011")
	status, body = b.get("/audit?actor=billing&after=0011")
	b.want(status, body, 200, "First page")
	if n := strings.Count(body, "<td>ban</td>"); n != 10 {
		t.Errorf("the second page has %d entries", n)
	}
	status, body = b.get("/audit?since=yesterday")
	b.want(status, body, 422, "must be a time")
	b.failure = fault.ErrUnavailable
	status, body = b.get("/audit")
	b.want(status, body, 503, "does not answer")

	b.signInAs("admin+groups:read")
	status, body = b.get("/audit")
	b.want(status, body, 403, "audit:read")
}

// TestForms checks that a form makes one change, with the console as its actor, and only for
// users who may make it.
func TestForms(t *testing.T) {
	t.Parallel()
	b := begin(t, nil)
	change := func(ctx context.Context, _ visit) (outcome, error) {
		e, err := audit.New(ctx, "ops", "ban")
		b.via = e.Via
		return outcome{to: "../?a=1", notice: "signed-out"}, err
	}
	router := gin.New()
	w := &view{path: "things/:id", forms: map[string]form{"ban": change}}
	router.Group("/console").POST("/things/:id", func(g *gin.Context) {
		_ = g.Request.ParseForm()
		b.submit(g, w)
	})
	for token, want := range map[string]int{"admin": 303, "console.read": 403, "admin+groups:read": 403, "user": 403} {
		b.via = ""
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/things/a", strings.NewReader("form=ban"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.AddCookie(&http.Cookie{Name: cookieName, Value: token})
		res := httptest.NewRecorder()
		router.ServeHTTP(res, req)
		if res.Code != want || (b.via == audit.Console) != (want == 303) {
			t.Errorf("%s: %d, recorded via %q", token, res.Code, b.via)
		}
		if to := res.Header().Get("Location"); want == 303 && to != "../?a=1&done=signed-out" {
			t.Errorf("it leads to %q", to)
		}
		if want == 403 && !strings.Contains(res.Body.String(), `href="./../assets/console.css"`) {
			t.Errorf("the links of a deep page are wrong:\n%s", res.Body)
		}
	}
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/sign-out", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		res, err := b.browser.Do(req)
		status, body := b.read(res, err)
		b.want(status, body, 403, "from a page of another site")
	}
}

// TestStreams checks that a node renews only a few pages at a time, and that the end of a session
// ends its streams.
func TestStreams(t *testing.T) {
	t.Parallel()
	b := begin(t, nil)
	b.signInAs("admin")
	_, in := b.open()
	for range maxStreams - 1 {
		b.open()
	}
	if res, _ := b.open(); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: %d", res.StatusCode)
	}
	b.post("/sign-out", nil)
	rest, err := io.ReadAll(in)
	if err != nil || !strings.HasSuffix(string(rest), "event: end\ndata:\n\n") {
		t.Errorf("after signing out: %v, %q", err, rest)
	}
	b.signInAs("console.read")
	_, in = b.open()
	b.Stop()
	if rest, err := io.ReadAll(in); err != nil || strings.Contains(string(rest), "event: end") {
		t.Errorf("the stop of the node ended the session in the browser: %v, %q", err, rest)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	var frames int64
	h := NewHistory(func() Measured { frames += 50; return Measured{Sockets: 2, Deliveries: frames} })
	at := time.Unix(1_000_000, 0)
	for i := range maxSamples + 20 {
		h.take(at.Add(time.Duration(i) * sampleEvery))
	}
	samples := h.Samples()
	if len(samples) != maxSamples || samples[0].At != at.Unix()+20*5 || h.Last().Deliveries != 10 || h.Last().Memory == 0 {
		t.Errorf("%d samples, from %d, the last %+v", len(samples), samples[0].At, h.Last())
	}
	all := sum([]Node{{Details: Details{Samples: samples}}, {Details: Details{Samples: samples[100:]}}})
	if len(all) != maxSamples || all[0].Sockets != 2 || all[179].Sockets != 4 || all[179].Deliveries != 20 {
		t.Errorf("together: %d, %+v, %+v", len(all), all[0], all[len(all)-1])
	}
	p := draw("Sockets", "", all, func(s Sample) float64 { return float64(s.Sockets) }, time.Unix(samples[179].At, 0))
	if !strings.HasSuffix(p.Points, "300.0,0.0") || p.Now != "4" || !strings.HasPrefix(p.Points, "1.7,30.0") {
		t.Errorf("%+v", p)
	}
}
