package nowait_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

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
	got, _ := connect(t, ours)
	want, _ := connect(t, plain)
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
	if got.LocalAddr().String() != ours.Addr().String() {
		t.Errorf("it was connected to %v", got.LocalAddr())
	}
}

func get(t *testing.T, conn net.Conn, option [2]int) (value int) {
	t.Helper()
	raw, err := nowait.Bare(conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), option[0], option[1]) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return value
}

// TestSilentClient: it is accepted in the end, and heard when it speaks.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	peer := dial(t, listener)
	conn := accept(t, listener)
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestAcceptedConn holds accepted connections to what package net's do.
func TestAcceptedConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (one, other net.Conn, stop func(), err error) {
		one, other = connect(t, listen(t))
		return one, other, func() { _, _ = one.Close(), other.Close() }, nil
	})
}

// TestAcceptedErrors compares the errors of a connection before and after it
// had to wait with package net's.
func TestAcceptedErrors(t *testing.T) {
	t.Parallel()
	for _, waited := range []bool{false, true} {
		conn, peer := connect(t, listen(t))
		read := func() error { _, err := conn.Read(make([]byte, 1)); return err }
		write := func() error { _, err := conn.Write([]byte("x")); return err }
		want := func(what string, got, want error, text string) {
			t.Helper()
			if !errors.Is(got, want) || text != "" && got.Error() != text+" tcp "+conn.LocalAddr().String()+"->"+conn.RemoteAddr().String()+": "+want.Error() {
				t.Errorf("waited %t, %s: %v, want %v", waited, what, got, want)
			}
		}
		if waited {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			want("waiting in vain", read(), os.ErrDeadlineExceeded, "read")
		}
		_ = conn.SetDeadline(time.Unix(1, 0))
		want("reading too late", read(), os.ErrDeadlineExceeded, "read")
		want("writing too late", write(), os.ErrDeadlineExceeded, "write")
		_ = conn.SetDeadline(time.Time{})
		_ = peer.Close()
		want("reading at the end", read(), io.EOF, "")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{
			"reading": read(), "writing": write(), "closing": conn.Close(), "setting": conn.SetDeadline(time.Time{}),
		} {
			want(what+" what is closed", err, net.ErrClosed, "")
		}
	}
}

// TestAcceptedWakes: who waits hears that the deadline was moved, and that the
// connection was closed.
func TestAcceptedWakes(t *testing.T) {
	t.Parallel()
	for want, wake := range map[error]func(net.Conn) error{
		os.ErrDeadlineExceeded: func(c net.Conn) error { return c.SetReadDeadline(time.Now()) },
		net.ErrClosed:          net.Conn.Close,
	} {
		conn, _ := connect(t, listen(t))
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
		if err := wake(conn); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// TestCloseListener: it accepts nothing more, and its address is free.
func TestCloseListener(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	ended := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		ended <- err
	}()
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	again, err := nowait.Listen(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := nowait.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
