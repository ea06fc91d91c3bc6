package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/proxies"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// bench is a console with a fake service, and a browser.
type bench struct {
	*Console
	t       *testing.T
	url     string
	browser *http.Client

	mu      sync.Mutex
	refused map[string]error // by token
	failure error            // of the audit log
	entries int              // the number of audit entries
	via     string           // the actor of the last change
	gone    []string         // the disconnected users
}

// audited is the real service with the audit log of the bench.
type audited struct {
	*group.Service
	b *bench
}

func (a audited) Audit(ctx context.Context, caller auth.Identity, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	return a.b.Audit(ctx, caller, f, before, limit)
}

// verify accepts tokens that consist of the words of their scope.
func (b *bench) verify(_ context.Context, token string) (auth.Identity, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refused[token]; err != nil || token == "" {
		return auth.Identity{}, fault.ErrUnauthorized
	}
	id, err := auth.Identity{UserID: "ops", Expires: time.Now().Add(time.Hour)}.WithScope(strings.ReplaceAll(strings.ReplaceAll(token, "+", " "), "user", ""))
	if err != nil {
		return id, fault.ErrUnauthorized.WithCause(err)
	}
	return id, nil
}

func (b *bench) Audit(_ context.Context, caller auth.Identity, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	if err := group.BackEndMay(caller, auth.ReadAudit); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []audit.Entry
	for i := b.entries; i > 0 && len(found) < limit; i-- {
		id := fmt.Sprintf("%04d", i)
		if before == "" || id < before {
			found = append(found, audit.Entry{ID: id, Actor: f.Actor, Action: "ban", UserID: "<b>mallory", Before: json.RawMessage(`{}`), After: json.RawMessage(`{"bans":[]}`)})
		}
	}
	return found, b.failure
}

func (b *bench) NodesInDetail(context.Context) (reports []json.RawMessage, missing []string) {
	return []json.RawMessage{
		json.RawMessage(fmt.Sprintf(`{"id":"n1","version":"v1","sockets":3,"samples":[{"at":%d,"sockets":3,"deliveries":7}],
			"dependencies":[{"name":"redis.group","where":"redis:6379/0","phase":"both","up":false,"error":"no route"}]}`, time.Now().Unix())),
		json.RawMessage(`{"id":"n2","sockets":4}`), // from a node of an earlier version
	}, []string{"n3"}
}

// begin serves a console below a prefix that the server removes, like a proxy.
func begin(t *testing.T, mint Mint) *bench {
	t.Helper()
	return serve(t, mint, nil)
}

// serve serves a console with a service, or without one if service is nil.
func serve(t *testing.T, mint Mint, service *group.Service) *bench {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	b := &bench{t: t, refused: map[string]error{}}
	trusted, err := proxies.Parse([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	b.Console = New(Config{}, Deps{
		Version: "v1", Node: func() string { return "n1" }, Mint: mint, Verify: b.verify, Proxies: trusted, Groups: audited{service, b}, Nodes: b,
		Users: b, Tokens: b, Grace: 10 * time.Second,
		Settings: func() []Setting {
			return []Setting{{Name: "http.addr", Value: ":1", Source: "default"}, {Name: "log.level", Value: "debug", Source: "moim.yaml"}}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	engine := gin.New()
	b.Register(engine)
	server := httptest.NewServer(http.StripPrefix("/rt", engine))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.url, b.browser = server.URL+"/rt/console", &http.Client{Jar: jar}
	t.Cleanup(func() {
		b.Stop()
		server.Close()
	})
	return b
}

// get returns the status and the text of a page.
func (b *bench) get(path string) (status int, body string) {
	b.t.Helper()
	res, err := b.browser.Get(b.url + path)
	return b.read(res, err)
}

func (b *bench) post(path string, form url.Values) (status int, body string) {
	b.t.Helper()
	res, err := b.browser.PostForm(b.url+path, form)
	return b.read(res, err)
}

func (b *bench) read(res *http.Response, err error) (status int, body string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

func (b *bench) signInAs(token string) (status int, body string) {
	b.t.Helper()
	return b.post("/sign-in", url.Values{"token": {token}})
}

func (b *bench) want(status int, body string, wantStatus int, texts ...string) {
	b.t.Helper()
	if status != wantStatus {
		b.t.Errorf("status %d, want %d:\n%s", status, wantStatus, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			b.t.Errorf("%q is not in:\n%s", text, body)
		}
	}
}

// open opens a stream of the overview, and reads the first event.
func (b *bench) open() (*http.Response, *bufio.Reader) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", eventStream)
	res, err := b.browser.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = res.Body.Close() })
	in := bufio.NewReader(res.Body)
	if line, err := in.ReadString('\n'); err == nil && res.StatusCode == http.StatusOK && line != "event: fragment\n" {
		b.t.Errorf("it begins with %q", line)
	}
	return res, in
}
