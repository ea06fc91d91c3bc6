package nowait_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/moim-live/moim/internal/nowait"
)

// TestAcceptedAsByNet: the options of an accepted connection are those that
// package net gives it.
func TestAcceptedAsByNet(t *testing.T) {
	t.Parallel()
	ours, err := nowait.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, want := accepted(t, ours), accepted(t, plain)
	for _, option := range [][2]int{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
	} {
		if got, want := get(t, got, option), get(t, want, option); got != want {
			t.Errorf("option %v is %d, want %d", option, got, want)
		}
	}
}

// accepted returns a connection that a listener has accepted.
func accepted(t *testing.T, listener net.Listener) syscall.Conn {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	dialed, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), conn.Close() })
	raw, ok := conn.(syscall.Conn)
	if !ok {
		t.Fatalf("%T has no descriptor", conn)
	}
	return raw
}

func get(t *testing.T, conn syscall.Conn, option [2]int) (value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), option[0], option[1]) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return value
}
