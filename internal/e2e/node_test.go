package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// The longest times that a node may take.
const (
	startWithin = time.Minute
	stopWithin  = 45 * time.Second // drain.deadline, doubled for a busy machine
)

// node is one moim process. It runs in a temporary directory, so it finds no configuration except
// its environment.
type node struct {
	t    *testing.T
	name string
	dir  string
	addr string
	env  []string
	log  nodeLog

	descriptors int // limit of the process; 0: the limit of this process

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	err    error         // how it ended; read it only after exited is closed
}

// startNode runs a node until the test ends and waits until it is ready. env is its
// configuration, such as MOIM_REDIS_URL=…. Its log is printed if the test fails.
func startNode(t *testing.T, env ...string) *node {
	t.Helper()
	n := newNode(t, env...)
	for range 5 {
		n.run()
		if n.ready() == nil {
			return n
		}
		if !strings.Contains(n.log.String(), "address already in use") {
			break
		}
		n.addr = freeAddr() // another process took the address in the meantime
	}
	t.Fatalf("%s did not become ready: %v", n.name, n.ready())
	return nil
}

// newNode prepares a node with a free address. It does not start it.
func newNode(t *testing.T, env ...string) *node {
	t.Helper()
	n := &node{t: t, name: "n" + strconv.FormatInt(nodeCount.Add(1), 10), dir: t.TempDir(), addr: freeAddr(), env: env}
	t.Cleanup(func() {
		n.Kill()
		if strings.Contains(n.log.String(), "WARNING: DATA RACE") {
			t.Errorf("%s has a data race", n.name)
		}
		if t.Failed() {
			t.Logf("log of %s, http://%s:\n%s", n.name, n.addr, n.log.String())
		}
	})
	return n
}

var nodeCount atomic.Int64

// URL returns the node's base URL.
func (n *node) URL() string { return "http://" + n.addr }

// command returns a moim command with these arguments that runs in the node's directory with its
// environment.
func (n *node) command(args ...string) *exec.Cmd {
	n.t.Helper()
	cmd := exec.Command(moim(n.t), args...)
	cmd.Dir = n.dir
	// The environment is like a service manager's: HOME, PATH, and nothing of the caller. Limits
	// are off, because in most tests one user makes the calls of many. Tests of limits turn them
	// on.
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + n.dir, "MOIM_HTTP_ADDR=" + n.addr, "MOIM_LIMIT_ENABLED=false"}, n.env...)
	childtest.DieWithParent(cmd)
	return cmd
}

// run starts the process and does not wait until it is ready.
func (n *node) run(args ...string) {
	n.t.Helper()
	cmd := n.command(append([]string{"serve"}, args...)...)
	if n.descriptors > 0 {
		cmd = withDescriptors(cmd, n.descriptors)
	}
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("start %s: %v", n.name, err)
	}
	exited := make(chan struct{})
	n.cmd, n.exited, n.err = cmd, exited, nil
	go func() {
		n.err = cmd.Wait()
		close(exited)
	}()
}

// Restart runs the node again after Kill or Terminate, with the same address, directory and
// configuration. It waits until the node is ready.
func (n *node) Restart() {
	n.t.Helper()
	n.run()
	if err := n.ready(); err != nil {
		n.t.Fatalf("%s did not become ready again: %v", n.name, err)
	}
}

// ready waits until /readyz answers 200.
func (n *node) ready() error {
	var last error
	ok := wait(startWithin, func() bool {
		select {
		case <-n.exited:
			last = fmt.Errorf("it ended: %w", n.err)
			return true
		default:
		}
		var status int
		if status, last = n.probe("/readyz"); last == nil && status != http.StatusOK {
			last = fmt.Errorf("/readyz answers %d", status)
		}
		return last == nil
	})
	if !ok && last == nil {
		last = errors.New("it does not answer")
	}
	return last
}

// probe sends a GET request and returns the status.
func (n *node) probe(path string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// Kill ends the process at once, like kill -9. It may be called twice, or before the process
// runs.
func (n *node) Kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// Terminate asks the process to drain (SIGTERM) and expects exit code 0.
func (n *node) Terminate() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatalf("terminate %s: %v", n.name, err)
	}
	select {
	case <-n.exited:
		if n.err != nil {
			n.t.Fatalf("%s after SIGTERM: %v, want exit code 0", n.name, n.err)
		}
	case <-time.After(stopWithin):
		n.t.Fatalf("%s still runs %s after SIGTERM", n.name, stopWithin)
	}
}

// refused runs a node that must end by itself with an error. It returns what the node printed.
func (n *node) refused(within time.Duration, args ...string) string {
	n.t.Helper()
	n.run(args...)
	select {
	case <-n.exited:
	case <-time.After(within):
		n.t.Fatalf("%s still runs after %s, want an error at the start", n.name, within)
	}
	if n.err == nil {
		n.t.Fatalf("%s ended with exit code 0, want an error", n.name)
	}
	return n.log.String()
}

// freeAddr returns an address without a listener. No other process takes it while a node
// restarts.
func freeAddr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(childtest.FreePort()))
}

// nodeLog keeps what a process printed.
type nodeLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *nodeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was printed.
func (l *nodeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
