package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// clientJS is the folder of the TypeScript client.
var clientJS = filepath.Join("..", "..", "client", "js")

// clientJSOnce installs what the client's tests need, once, and builds the client.
var clientJSOnce = sync.OnceValue(func() error { return install(clientJS) })

// TestClientJS runs the tests of the TypeScript client: those against its fake server, those
// against a node, and those in a browser.
func TestClientJS(t *testing.T) {
	t.Parallel()
	if err := clientJSOnce(); err != nil {
		skipOrFail(t, err)
	}
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HTTP_ORIGINS=*")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	test := exec.CommandContext(ctx, "npm", "test")
	test.Dir = clientJS
	test.Env = append(os.Environ(), "MOIM_URL="+n.URL(), "MOIM_SECRET="+secret, "MOIM_BROWSER="+findBrowser(t))
	childtest.DieWithParent(test)
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
