package nowait_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/moim-live/moim/internal/nowait"
)

// TestConn holds the connections to what package net's do.
func TestConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (one, other net.Conn, stop func(), err error) {
		one, other = pair(t)
		return one, other, func() { _, _ = one.Close(), other.Close() }, nil
	})
}

func TestErrorsAreThoseOfNet(t *testing.T) {
	t.Parallel()
	wrapped, peer := pair(t)
	plain := wrapped.TCPConn
	same := func(what string, do func(net.Conn) error, want error) {
		t.Helper()
		got, as := do(wrapped), do(plain)
		if !errors.Is(got, want) || got.Error() != as.Error() {
			t.Errorf("%s: %v, want %v", what, got, as)
		}
	}
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c net.Conn) error { _, err := c.Write([]byte("x")); return err }

	_ = wrapped.SetDeadline(time.Unix(1, 0))
	same("reading too late", read, os.ErrDeadlineExceeded)
	same("writing too late", write, os.ErrDeadlineExceeded)
	_ = wrapped.SetDeadline(time.Time{})
	_ = peer.Close()
	same("reading at the end", read, io.EOF)
	_ = wrapped.Close()
	same("reading what is closed", read, net.ErrClosed)
	same("writing to what is closed", write, net.ErrClosed)
}

func TestOnlyTCPIsWrapped(t *testing.T) {
	t.Parallel()
	one, other := net.Pipe()
	defer func() { _, _ = one.Close(), other.Close() }()
	if nowait.Wrap(one) != one {
		t.Error("a pipe was wrapped")
	}
}

// pair returns the two ends of a connection, which are wrapped.
func pair(t *testing.T) (*nowait.Conn, net.Conn) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := new(net.Dialer).DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close() })
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	conn, is := nowait.Wrap(accepted).(*nowait.Conn)
	if !is {
		t.Skip("not of use on this system")
	}
	return conn, nowait.Wrap(dialed)
}
