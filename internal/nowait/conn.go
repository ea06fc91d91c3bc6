// Package nowait reads and writes TCP connections with system calls that Go's
// scheduler is not told of.
//
// It is told of each system call of package net, in case it takes long: then
// others run meanwhile. These do not: the sockets do not block, and who must
// wait waits in Go's poller as in package net. But the first call that it hears
// of after all of the process was idle wakes the thread that watches over such
// calls, and this one looks again and again until the process is idle anew. In
// a server that sleeps between messages that is a sixth of its processor time.
//
// That thread also ends the turns of goroutines that compute for long. It is
// woken by every timer too, so at worst it does so from the process's next timer
// on; a process that is always busy does not let it sleep.
package nowait

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Conn is a TCP connection. All but reading and writing is package net's.
type Conn struct {
	*net.TCPConn

	calls calls
}

// Wrap returns conn, as a [Conn] where that is of use.
func Wrap(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || !Supported {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &Conn{TCPConn: tcp}
	c.calls.bind(raw)
	return c
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return c.TCPConn.Read(b)
	}
	n, err := c.calls.read(b)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, failed(c, "read", err)
}

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return c.TCPConn.Write(b)
	}
	n, err := c.calls.write(b)
	return n, failed(c, "write", err)
}

// failed gives an error the form that package net's have.
func failed(c net.Conn, op string, err error) error {
	if err == nil {
		return nil
	}
	if wrapped, ok := errors.AsType[*net.OpError](err); ok { // of waiting, or of a closed connection
		err = wrapped.Err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// calls reads from a descriptor that is in Go's poller, and writes to it.
type calls struct {
	raw    syscall.RawConn
	reader attempt
	writer attempt
}

func (c *calls) bind(raw syscall.RawConn) {
	c.raw = raw
	c.reader.call, c.writer.call = c.reader.read, c.writer.write
}

// read returns 0 bytes at the end.
func (c *calls) read(b []byte) (int, error) { return c.reader.do(b, c.raw.Read) }

func (c *calls) write(b []byte) (int, error) { return c.writer.do(b, c.raw.Write) }

// attempt is one call of Read or Write, one at a time.
type attempt struct {
	mu   sync.Mutex
	call func(fd uintptr) bool
	data []byte
	n    int
	err  error
}

func (a *attempt) do(b []byte, wait func(func(fd uintptr) bool) error) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data, a.n, a.err = b, 0, nil
	err := wait(a.call)
	a.data = nil
	return a.n, cmp.Or(err, a.err)
}

// read reports whether there was something to read, an end or an error
// included.
func (a *attempt) read(fd uintptr) bool {
	n, err := Read(fd, a.data)
	if errors.Is(err, syscall.EAGAIN) {
		return false
	}
	a.n, a.err = max(n, 0), os.NewSyscallError("read", err)
	return true
}

// write reports whether all is written, or nothing more will be.
func (a *attempt) write(fd uintptr) bool {
	for a.n < len(a.data) {
		n, err := Write(fd, a.data[a.n:])
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		if err != nil {
			a.err = os.NewSyscallError("write", err)
			return true
		}
		a.n += n
	}
	return true
}
