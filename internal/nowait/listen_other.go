//go:build !linux

package nowait

import (
	"context"
	"net"
	"syscall"
)

// Listen listens on a TCP address. What it accepts is as package net's
// connections are.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return wrapping{listener}, nil
}

type wrapping struct{ net.Listener }

// Accept implements [net.Listener].
func (l wrapping) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Wrap(conn), nil
}

func bare(net.Conn) syscall.Conn { return nil }
