package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/childtest"
)

// webFolder is the example of a chat in React.
var webFolder = filepath.Join("..", "..", "examples", "web")

// installWeb installs the dependencies of the example, with the current code of the TypeScript
// client.
func installWeb() error {
	if err := clientJSOnce(); err != nil {
		return err
	}
	if err := install(webFolder); err != nil {
		return err
	}
	dist := filepath.Join(webFolder, "node_modules", "moim-client", "dist")
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	return os.CopyFS(dist, os.DirFS(filepath.Join(clientJS, "dist")))
}

// TestWeb opens the example in two browser windows. They must chat in a group, show who is
// present, and continue after their node was killed.
func TestWeb(t *testing.T) {
	t.Parallel()
	browser := findBrowser(t)
	if err := clientOnce(); err != nil {
		skipOrFail(t, err)
	}
	if err := installWeb(); err != nil {
		skipOrFail(t, err)
	}
	n, site := newNode(t, "MOIM_AUTH_SECRET="+secret), freeAddr()
	n.env = append(n.env, "MOIM_HTTP_ORIGINS=http://"+site)
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	serveWeb(t, n.URL(), site)

	ctx, cancel := context.WithTimeout(t.Context(), 3*inBrowserWithin)
	defer cancel()
	windows := exec.CommandContext(ctx, "node", "web.mjs", browser, "http://"+site)
	childtest.DieWithParent(windows)
	var problems strings.Builder
	windows.Stderr = &problems
	in, err := windows.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := windows.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); line {
		case "chatting":
			n.Kill()
		case "posted":
			n.Restart()
		default:
			t.Errorf("the windows print %q", line)
		}
		_, _ = io.WriteString(in, "done\n")
	}
	if err := windows.Wait(); err != nil {
		t.Errorf("%v\n%s", err, problems.String())
	}
}

// serveWeb builds the example for a node, and serves it until the test ends.
func serveWeb(t *testing.T, nodeURL, addr string) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	dir := t.TempDir()
	vite := func(args ...string) *exec.Cmd {
		script := filepath.Join("node_modules", "vite", "bin", "vite.js")
		cmd := exec.Command("node", append([]string{script}, append(args, "--outDir", dir)...)...)
		cmd.Dir = webFolder
		cmd.Env = append(os.Environ(), "VITE_MOIM_URL="+nodeURL, "MOIM_AUTH_SECRET="+secret)
		childtest.DieWithParent(cmd)
		return cmd
	}
	if out, err := vite("build", "--emptyOutDir").CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("vite build: %w\n%s", err, out))
	}
	var log nodeLog
	server := vite("preview", "--host", host, "--port", port, "--strictPort")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("vite: %s", log.String())
		}
	})
	need(t, startWithin, "vite serves the page", func() bool {
		resp, err := httpClient.Get("http://" + addr)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
