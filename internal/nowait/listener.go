package nowait

import (
	"context"
	"net"
)

// Listener accepts connections as a [Conn] each, where that is of use.
type Listener struct{ net.Listener }

// Listen listens on a TCP address. What it accepts is as package net's
// connections are.
func Listen(ctx context.Context, addr string) (Listener, error) {
	listener, err := listenConfig.Listen(ctx, "tcp", addr)
	return Listener{listener}, err
}

// Accept implements [net.Listener].
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Wrap(conn), nil
}
