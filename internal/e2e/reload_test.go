//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReload sends SIGHUP to a node whose file has changed.
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
			t.Fatalf("the log does not say %q", text)
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
	logged("web: request") // at debug
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
	n.Terminate()
}
