//go:build unix

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload changes the configuration file of a node and sends SIGHUP.
func TestReload(t *testing.T) {
	t.Parallel()
	n := newNode(t, "MOIM_METRICS_ADDR="+freeAddr(), "MOIM_DEBUG_ADDR="+freeAddr())
	file := filepath.Join(n.dir, "moim.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n.cmd == nil {
			return
		}
		if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	logged := func(text string) {
		t.Helper()
		if !wait(startWithin, func() bool { return strings.Contains(n.log.String(), text) }) {
			t.Fatalf("the log does not contain %q", text)
		}
	}
	write("log.level: info\n")
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	write("log.level: loud\nsocket.gather: 1ms\n")
	logged("log.level: must be debug, info, warn or error")
	write("log.level: debug\nsocket.gather: 1ms\n")
	logged(`"changed":"log.level"`)
	logged(`"key":"socket.gather"`)
	if status, err := n.probe("/healthz"); err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	logged("web: request") // logged at level debug
	for url, want := range map[string]int{
		"http://" + strings.TrimPrefix(n.env[0], "MOIM_METRICS_ADDR=") + "/metrics":    200,
		"http://" + strings.TrimPrefix(n.env[1], "MOIM_DEBUG_ADDR=") + "/debug/pprof/": 200,
		n.URL() + "/metrics": 404,
	} {
		resp, err := httpClient.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
		}
	}
	// A page whose host name resolves to this machine must not read profiles, or start one
	// through a link.
	for header, value := range map[string]string{"Host": "evil.example", "Sec-Fetch-Site": "cross-site"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+strings.TrimPrefix(n.env[1], "MOIM_DEBUG_ADDR=")+"/debug/pprof/cmdline", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		if header == "Host" {
			req.Host = value
		}
		resp, err := httpClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("profiles with %s: %s are served with status %d", header, value, resp.StatusCode)
		}
	}
	n.Terminate()
}

// TestReloadKeepsAKey removes the key from the file. After a reload, the node must not accept
// tokens of a development secret.
func TestReloadKeepsAKey(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	file := filepath.Join(n.dir, "moim.yaml")
	if err := os.WriteFile(file, []byte("auth.secret: "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	for i, lose := range []func() error{func() error { return os.WriteFile(file, nil, 0o600) }, func() error { return os.Remove(file) }} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		need(t, startWithin, "the reload is refused", func() bool { return strings.Count(n.log.String(), "it has no key for tokens") > i })
	}
	if _, err := os.Stat(filepath.Join(n.dir, "data", "dev-secret")); err == nil {
		t.Error("the node made a development secret")
	}
	mine := api{base: n.URL(), token: mint("ana", time.Hour)}
	mine.must(t, http.StatusOK, http.MethodGet, "/me/groups", nil, nil)
}
