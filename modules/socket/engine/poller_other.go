//go:build !linux

package engine

import "net"

// poller does not exist here: melody reads from all connections.
type poller struct{}

func (*poller) adopt(*Conn, net.Conn) transport { return nil }
func (*poller) stop()                           {}
func (*poller) stopped()                        {}
