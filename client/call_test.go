package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// losing loses the answers of the first calls. The server has executed these calls.
type losing struct{ left atomic.Int32 }

var errLost = errors.New("the connection broke off")

func (l *losing) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || l.left.Add(-1) < 0 {
		return res, err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return nil, errLost
}

// TestLostAnswers checks that a call whose answer is lost is retried, and that the retry changes
// nothing a second time.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	broken := &losing{}
	c := newClient(t, server(t), broken, Secret(secret, "shop"))
	ctx := t.Context()
	lose := func() { broken.left.Store(2) }

	lose()
	g := must[Group](t)(c.CreateGroup(ctx, NewGroup{Name: "g", OwnerID: "ana"}))
	if got := all(t, c.Groups(ctx, Filter{})); len(got) != 1 {
		t.Fatalf("%d groups", len(got))
	}
	lose()
	first := must[Event](t)(c.Post(ctx, g.ID, "", "one"))
	lose()
	must[Event](t)(c.EditMessage(ctx, g.ID, first.Version, "two"))
	lose()
	must[Event](t)(c.DeleteMessage(ctx, g.ID, first.Version))
	types := []string{}
	for _, e := range all(t, c.Events(ctx, g.ID, 0)) {
		types = append(types, e.Type)
	}
	if got := fmt.Sprint(types); got != "[group.created message.posted message.edited message.deleted]" {
		t.Errorf("events %s", got)
	}
	lose()
	if _, err := c.UpdateGroup(ctx, g.ID, GroupChange{Name: new("h")}, IfRevision(g.Revision)); !errors.Is(err, errLost) {
		t.Errorf("a conditional change is repeated: %v", err)
	}
	lose()
	done(t, c.DeleteGroup(ctx, g.ID))
	if err := c.DeleteGroup(ctx, g.ID); Code(err) != "not_found" {
		t.Errorf("deleting a group that is not there: %v", err)
	}
}

// answers starts a server that answers with these statuses. It repeats the last one.
func answers(t *testing.T, header http.Header, statuses ...int) (c *Client, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := int(calls.Add(1))
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(statuses[min(n, len(statuses))-1])
		_, _ = io.WriteString(w, "<html>not Moim's</html>")
	}))
	t.Cleanup(served.Close)
	return newClient(t, served.URL, http.DefaultTransport, Token("t")), calls
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header   http.Header
		statuses []int
		calls    int32
		code     string
	}{
		"overload passes":          {statuses: []int{503, 502, 504, 429, 204}, calls: 5},
		"overload stays":           {statuses: []int{503}, calls: 5, code: "http_503"},
		"a mistake is final":       {statuses: []int{422}, calls: 1, code: "http_422"},
		"a fault is final":         {statuses: []int{500}, calls: 1, code: "http_500"},
		"the wait is too long":     {header: http.Header{"Retry-After": {"60"}}, statuses: []int{429}, calls: 1, code: "http_429"},
		"deleted by the repeat":    {statuses: []int{503, 404}, calls: 2},
		"not there from the start": {statuses: []int{404}, calls: 1, code: "http_404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, calls := answers(t, tc.header, tc.statuses...)
			err := c.DeleteGroup(t.Context(), "g")
			if Code(err) != tc.code || calls.Load() != tc.calls {
				t.Errorf("%d calls, %v", calls.Load(), err)
			}
		})
	}
}

func TestRefusalsHaveAReason(t *testing.T) {
	t.Parallel()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":"refused","reason":"over_quota","detail":"That is enough"}`)
	}))
	t.Cleanup(served.Close)
	err := newClient(t, served.URL, http.DefaultTransport, Token("t")).DeleteGroup(t.Context(), "g")
	if e, is := errors.AsType[*Error](err); !is || e.Reason != "over_quota" || e.Error() != "moim: That is enough (403 refused over_quota)" {
		t.Error(err)
	}
}

// TestRetryAfter checks that the client waits as long as the server asks before it retries.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	c, calls := answers(t, http.Header{"Retry-After": {"1"}}, 429, 204)
	began := time.Now()
	done(t, c.DeleteGroup(t.Context(), "g"))
	if took := time.Since(began); took < time.Second || calls.Load() != 2 {
		t.Errorf("%d calls in %s", calls.Load(), took)
	}
}

// TestRedirects checks that the client follows no redirect. Otherwise it would send the token to
// another port of the same host, and a POST would become a GET.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached.Store(true) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, calls := answers(t, http.Header{"Location": {elsewhere.URL}}, status)
		_, err := c.CreateGroup(t.Context(), NewGroup{Name: "g"})
		if Code(err) != fmt.Sprintf("http_%d", status) || !strings.Contains(err.Error(), elsewhere.URL) || calls.Load() != 1 || reached.Load() {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestIDsThatArePathSteps checks that ids such as ".." are refused, because proxies would treat
// them as path segments.
func TestIDsThatArePathSteps(t *testing.T) {
	t.Parallel()
	c, calls := answers(t, nil, 200)
	for _, id := range []string{"", ".", ".."} {
		for item, err := range c.UserGroups(t.Context(), id) {
			if err == nil {
				t.Errorf("the groups of user %q: %+v", id, item)
			}
		}
		if err := c.DeleteGroup(t.Context(), id); err == nil {
			t.Errorf("group %q is deleted", id)
		}
		if export, err := c.ExportUser(t.Context(), id); err == nil {
			_ = export.Close()
			t.Errorf("user %q is exported", id)
		}
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "example.org", "ftp://example.org", "https://", "https://example.org?x=1"} {
		if _, err := New(Config{URL: url, Tokens: Token("t")}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
	if _, err := New(Config{URL: "https://example.org/moim/"}); err == nil {
		t.Error("a client without tokens is taken")
	}
	if _, err := Secret("short", "shop")(t.Context()); err == nil {
		t.Error("a short secret is taken")
	}
}
