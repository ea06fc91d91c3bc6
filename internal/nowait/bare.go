package nowait

import (
	"net"
	"syscall"
)

// Bare returns conn where nothing but the kernel is behind it, and else nil:
// what is written to a TLS connection, or to one that its listener has wrapped,
// is not what goes to its descriptor.
func Bare(conn net.Conn) syscall.Conn {
	switch conn := conn.(type) {
	case *Conn:
		return conn.TCPConn
	case *net.TCPConn:
		return conn
	case *net.UnixConn:
		return conn
	default:
		return nil
	}
}
