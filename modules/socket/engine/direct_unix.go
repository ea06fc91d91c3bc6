//go:build unix

package engine

import (
	"errors"
	"net"
	"syscall"
)

// direct writes to a socket without ever waiting for it.
type direct struct {
	raw     syscall.RawConn // nil: it cannot
	attempt func(fd uintptr) bool

	data []byte // of the attempt under way, like the next two
	n    int
	err  error
}

// bind knows the connections whose writes nothing but the kernel sees: a TLS
// connection, or one that its listener has wrapped, is not among them.
func (d *direct) bind(conn net.Conn) {
	var err error
	switch conn := conn.(type) {
	case *net.TCPConn:
		d.raw, err = conn.SyscallConn()
	case *net.UnixConn:
		d.raw, err = conn.SyscallConn()
	}
	if err != nil {
		d.raw = nil
	}
	d.attempt = d.once
}

// try writes what the socket takes at once, which may be nothing. Calls must
// not overlap, nor be made while another write waits.
func (d *direct) try(data []byte) (n int, err error) {
	if d.raw == nil {
		return 0, nil
	}
	d.data = data
	err = d.raw.Write(d.attempt)
	d.data = nil
	if err == nil {
		err = d.err
	}
	return d.n, err
}

// once tells the poller not to wait, whatever came of it.
func (d *direct) once(fd uintptr) bool {
	for {
		d.n, d.err = syscall.Write(int(fd), d.data)
		switch {
		case errors.Is(d.err, syscall.EINTR):
			continue
		case errors.Is(d.err, syscall.EAGAIN):
			d.n, d.err = 0, nil
		case d.err != nil:
			d.n = 0
		}
		return true
	}
}
