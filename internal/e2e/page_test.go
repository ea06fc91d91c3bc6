package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// screenshotsVar is the variable with the directory for screenshots of the pages.
const screenshotsVar = "MOIM_SCREENSHOTS"

// TestPage checks that the page at / shows two members of a group live, on two nodes. The page
// must work with a mouse, with a keyboard and on a phone.
func TestPage(t *testing.T) {
	t.Parallel()
	browser := findBrowser(t)
	if err := clientOnce(); err != nil {
		skipOrFail(t, err)
	}
	redis, database := redistest.Start(t), pgtest.Start(t).NewDatabase(t)
	env := []string{"MOIM_REDIS_URL=" + redis.URL(), "MOIM_DATABASE_URL=" + database, "MOIM_DATA_DIR=" + t.TempDir()}
	one := startNode(t, env...)
	two := startNode(t, env...)

	ctx, cancel := context.WithTimeout(t.Context(), 3*inBrowserWithin)
	defer cancel()
	page := exec.CommandContext(ctx, "node", "page.mjs", browser, one.URL(), two.addr, os.Getenv(screenshotsVar))
	childtest.DieWithParent(page)
	if out, err := page.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPageHidesTokens checks that the page gives tokens only to a browser on this machine, and
// only in development mode.
func TestPageHidesTokens(t *testing.T) {
	t.Parallel()
	development, production, off := startNode(t), startNode(t, "MOIM_AUTH_SECRET="+secret), startNode(t, "MOIM_CONSOLE_ENABLED=false")
	for name, c := range map[string]struct {
		node   *node
		host   string
		status int
		tokens bool
	}{
		"this machine":             {node: development, status: http.StatusOK, tokens: true},
		"localhost":                {node: development, host: "localhost:8080", status: http.StatusOK, tokens: true},
		"a name that is rebound":   {node: development, host: "evil.example", status: http.StatusOK},
		"a name like this machine": {node: development, host: "localhost.evil.example", status: http.StatusOK},
		"with a key":               {node: production, status: http.StatusOK},
		"off":                      {node: off, status: http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.node.URL()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		res, err := (&http.Client{Timeout: time.Minute}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if tokens := strings.Contains(string(body), "eyJ"); res.StatusCode != c.status || tokens != c.tokens {
			t.Errorf("%s: status %d, tokens %t, want %d and %t", name, res.StatusCode, tokens, c.status, c.tokens)
		}
		if policy := res.Header.Get("Content-Security-Policy"); c.status == http.StatusOK && !strings.Contains(policy, "script-src 'self'") {
			t.Errorf("%s: policy %q", name, policy)
		}
	}
}
