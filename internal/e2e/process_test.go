package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Signal sends a signal to the process.
func (n *node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Errorf("signal %s to %s: %v", s, n.name, err)
	}
}

// metrics returns the answer of /metrics. It is empty if the node does not answer.
func (n *node) metrics() string { return n.text("/metrics") }

// text returns the answer of a path. It is empty if the node does not answer.
func (n *node) text(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+path, nil)
	if err != nil {
		return ""
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// Metric returns the value of a metric, or -1 if the node does not answer. The name includes the
// labels as in the text.
func (n *node) Metric(name string) float64 {
	for line := range strings.Lines(n.metrics()) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				return -1
			}
			return value
		}
	}
	return -1
}

// Files returns how many file descriptors the process has open.
func (n *node) Files() int {
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(n.cmd.Process.Pid), "fd"))
	if err != nil {
		return -1
	}
	return len(open)
}

// baseline records a node's goroutines and open files. It returns a function that waits until
// both are back at these numbers, with a margin for connections that open and close.
func (n *node) baseline(t *testing.T) func() {
	t.Helper()
	const slack = 15
	goroutines, files := n.Metric("go_goroutines"), n.Files()
	return func() {
		t.Helper()
		if !wait(time.Minute, func() bool {
			now := n.Metric("go_goroutines")
			return now >= 0 && now <= goroutines+slack && n.Files() <= files+slack
		}) {
			t.Errorf("%s has %v goroutines and %d files; it had %v and %d", n.name, n.Metric("go_goroutines"), n.Files(), goroutines, files)
		}
		t.Logf("%s: goroutines %v, then %v; files %d, then %d", n.name, goroutines, n.Metric("go_goroutines"), files, n.Files())
	}
}
