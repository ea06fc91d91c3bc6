package nowait

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// options are what package net sets on each connection that it accepts, times in
// seconds. Connections inherit them from the listener.
var options = map[[2]int]int{
	{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}:   1,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}:  15,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}: 15,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT}:   9,
	{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}:   1,
}

// listener accepts connections as an [Accepted] each. It is package net's, whose
// way of accepting it does not share: that puts each into Go's poller.
type listener struct {
	addr net.Addr
	file *os.File
	raw  syscall.RawConn
}

// Listen listens on a TCP address. What it accepts is as package net's
// connections are.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	cfg := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var errs []error
		err := raw.Control(func(fd uintptr) {
			for option, value := range options {
				errs = append(errs, syscall.SetsockoptInt(int(fd), option[0], option[1], value))
			}
			// Who accepts finds something to read, mostly. A client that is
			// silent is accepted after a second or more, as without it.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1)
		})
		return errors.Join(append(errs, err)...)
	}}
	plain, err := cfg.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp, is := plain.(*net.TCPListener)
	if !is {
		return plain, nil
	}
	file, err := tcp.File() // of another descriptor
	if err := errors.Join(err, tcp.Close()); err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &listener{addr: plain.Addr(), file: file, raw: raw}, nil
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	var c *Accepted
	var failed error
	err := l.raw.Read(func(fd uintptr) bool {
		c, failed = accept(fd)
		return !errors.Is(failed, syscall.EAGAIN)
	})
	switch {
	case err != nil:
		return nil, l.error(net.ErrClosed)
	case failed != nil:
		return nil, l.error(os.NewSyscallError("accept4", failed))
	}
	return c, nil
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	if l.file.Close() != nil {
		return l.error(net.ErrClosed)
	}
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) error(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
}

// accept takes the next of the connections that wait.
func accept(listener uintptr) (*Accepted, error) {
	for {
		fd, remote, err := accept4(listener)
		switch {
		case err == nil:
			return &Accepted{fd: fd, remote: remote}, nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ECONNABORTED):
		default:
			return nil, err
		}
	}
}
