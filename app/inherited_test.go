package app

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestKeysOfInheritedSockets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n     int
		names string
		want  []string
	}{
		{1, "", []string{"http.addr"}},
		{1, "moim.socket", []string{"http.addr"}},
		{1, "metrics", []string{"metrics.addr"}},
		{2, "metrics:http", []string{"metrics.addr", "http.addr"}},
		{2, "", nil},
		{2, "http", nil},
		{2, "http:http", nil},
		{2, "http:other", nil},
	} {
		got, err := keysOf(c.n, c.names)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%d sockets named %q are for %q, %v; want %q", c.n, c.names, got, err, c.want)
		}
	}
}

// TestSocketsThatAreNoListeners checks that the start refuses a connection (a unit with
// Accept=yes), a socket of another type, and a file.
func TestSocketsThatAreNoListeners(t *testing.T) {
	t.Parallel()
	file := func(of any, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		socket, is := of.(interface{ File() (*os.File, error) })
		if !is {
			t.Fatalf("%T has no file", of)
		}
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	l, err := listenerOf(file(tcp, nil))
	if err != nil || l.Addr().String() != tcp.Addr().String() {
		t.Fatalf("a listener: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		socket *os.File
		want   error
	}{
		"a connection": {file(net.Dial("tcp", tcp.Addr().String())), errNoListener},
		"of UDP":       {file(net.ListenPacket("udp", "127.0.0.1:0")), errNoListener},
		"a file":       {plain, errNoListener},
		"of Unix":      {file(net.Listen("unix", filepath.Join(t.TempDir(), "s"))), errNotTCP},
	} {
		if _, err := listenerOf(test.socket); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
