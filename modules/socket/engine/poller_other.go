//go:build !linux

package engine

import "net"

// poller is a stub: without epoll, melody reads from all connections.
type poller struct{}

func (*poller) transport(*Conn, net.Conn) transport { return nil }
func (*poller) stop()                               {}
func (*poller) wait()                               {}
