//go:build !linux

package engine

import "net"

// poller does nothing on systems without epoll. Melody reads from all connections.
type poller struct{}

func (*poller) transport(*Conn, net.Conn) transport { return nil }
func (*poller) stop()                               {}
func (*poller) wait()                               {}
