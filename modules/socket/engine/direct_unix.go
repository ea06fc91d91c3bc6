//go:build unix

package engine

import (
	"errors"
	"net"
	"syscall"

	"github.com/moim-live/moim/internal/nowait"
)

// direct writes to a socket without ever waiting for it.
type direct struct {
	raw     syscall.RawConn // nil: it cannot
	attempt func(fd uintptr) bool

	data []byte // of the attempt under way, like the next two
	n    int
	err  error
}

// bind knows the connections whose writes nothing but the kernel sees.
func (d *direct) bind(conn net.Conn) {
	if bare := nowait.Bare(conn); bare != nil {
		d.raw, _ = bare.SyscallConn()
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
	d.n, d.err = writeNow(int(fd), d.data)
	return true
}

// writeNow writes what a socket takes at once, which may be nothing.
func writeNow(fd int, data []byte) (int, error) {
	n, err := nowait.Write(uintptr(fd), data)
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, err
}
