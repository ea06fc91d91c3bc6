package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/childtest"
)

// TestInheritedSockets checks that the node serves on sockets that its service manager opened.
func TestInheritedSockets(t *testing.T) {
	t.Parallel()
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files, addrs = append(files, file), append(addrs, l.Addr().String())
	}
	n := newNode(t, "LISTEN_FDS=2", "LISTEN_FDNAMES=metrics:http")
	serve := n.command("serve")
	n.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, serve.Path)
	n.cmd.Dir, n.cmd.Env, n.cmd.ExtraFiles = serve.Dir, serve.Env, files
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	childtest.DieWithParent(n.cmd)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func() {
		n.err = n.cmd.Wait()
		close(n.exited)
	}()
	unused := n.addr
	n.addr = addrs[1]
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	if got := status("http://" + addrs[0] + "/metrics"); got != http.StatusOK {
		t.Errorf("/metrics answers %d on its socket", got)
	}
	if got := status(n.URL() + "/metrics"); got != http.StatusNotFound {
		t.Errorf("/metrics answers %d on the socket for clients", got)
	}
	if got := status("http://" + unused + "/healthz"); got != 0 {
		t.Errorf("http.addr also answers %d", got)
	}
	if said := n.log.String(); strings.Count(said, "\n") != 4 { // development, database, metrics, clients
		t.Errorf("the node logged at its start:\n%s", said)
	}
	n.Terminate()
}
