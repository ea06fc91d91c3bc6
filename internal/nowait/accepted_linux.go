package nowait

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Accepted is a TCP connection that comes from [Listen]'s listener. It is in
// Go's poller once somebody has had to wait for it, and not before: whoever has
// a poller of his own for it would hear twice of everything that arrives.
type Accepted struct {
	remote netip.AddrPort
	write  sync.Mutex // held by one Write after the other

	mu      sync.Mutex
	fd      int
	closed  bool
	reading time.Time // the deadlines, until waiting has them
	writing time.Time
	waiting *waiting // nil: not in Go's poller
}

// waiting is what a connection has in Go's poller.
type waiting struct {
	calls

	file *os.File
}

var _ interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
} = (*Accepted)(nil)

// Read implements [net.Conn].
func (c *Accepted) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	now := attempt{data: b}
	w, err := c.once(now.read, &c.reading)
	if w != nil {
		now.n, now.err = w.read(b)
	}
	if err = cmp.Or(err, now.err); err == nil && now.n == 0 {
		return 0, io.EOF
	}
	return now.n, c.failed("read", err)
}

// Write implements [net.Conn].
func (c *Accepted) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.write.Lock()
	defer c.write.Unlock()
	now := attempt{data: b}
	w, err := c.once(now.write, &c.writing)
	if w != nil {
		done := now.n
		now.n, now.err = w.write(b[done:])
		now.n += done
	}
	return now.n, c.failed("write", cmp.Or(err, now.err))
}

// once makes an attempt. It returns who goes on with it where it has to wait.
func (c *Accepted) once(attempt func(fd uintptr) bool, deadline *time.Time) (*waiting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, net.ErrClosed
	case c.waiting != nil:
		return c.waiting, nil
	case !deadline.IsZero() && !time.Now().Before(*deadline):
		return nil, os.ErrDeadlineExceeded
	case attempt(uintptr(c.fd)):
		return nil, nil
	}
	return c.waitLocked()
}

// waitLocked puts the connection into Go's poller.
func (c *Accepted) waitLocked() (*waiting, error) {
	file := os.NewFile(uintptr(c.fd), "tcp")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	c.waiting = &waiting{file: file}
	c.waiting.bind(raw)
	if err := errors.Join(file.SetReadDeadline(c.reading), file.SetWriteDeadline(c.writing)); err != nil {
		return nil, err
	}
	return c.waiting, nil
}

// failed gives an error the form that package net's have.
func (c *Accepted) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	if c.closed { // whatever os calls that
		err = net.ErrClosed
	}
	c.mu.Unlock()
	return failed(c, op, err)
}

// Close implements [net.Conn].
func (c *Accepted) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: c.RemoteAddr(), Err: net.ErrClosed}
	}
	c.closed = true
	if c.waiting != nil {
		return c.waiting.file.Close()
	}
	return os.NewSyscallError("close", syscall.Close(c.fd))
}

// CloseWrite ends what is sent.
func (c *Accepted) CloseWrite() error {
	var err error
	controlErr := c.control(func(fd uintptr) { err = os.NewSyscallError("shutdown", syscall.Shutdown(int(fd), syscall.SHUT_WR)) })
	return c.failed("close", errors.Join(controlErr, err))
}

// SetDeadline implements [net.Conn].
func (c *Accepted) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *Accepted) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.reading, t, (*os.File).SetReadDeadline)
}

// SetWriteDeadline implements [net.Conn].
func (c *Accepted) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.writing, t, (*os.File).SetWriteDeadline)
}

func (c *Accepted) setDeadline(deadline *time.Time, t time.Time, set func(*os.File, time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return &net.OpError{Op: "set", Net: "tcp", Addr: c.RemoteAddr(), Err: net.ErrClosed}
	case c.waiting != nil:
		return set(c.waiting.file, t)
	}
	*deadline = t
	return nil
}

// RemoteAddr implements [net.Conn].
func (c *Accepted) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr implements [net.Conn].
func (c *Accepted) LocalAddr() net.Addr {
	var local net.Addr = &net.TCPAddr{}
	_ = c.control(func(fd uintptr) {
		if addr, err := syscall.Getsockname(int(fd)); err == nil {
			local = net.TCPAddrFromAddrPort(addrPort(addr))
		}
	})
	return local
}

// control calls f with the descriptor, which is not closed meanwhile.
func (c *Accepted) control(f func(fd uintptr)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	f(uintptr(c.fd))
	return nil
}

// SyscallConn implements [syscall.Conn]. What it is given must not use the
// connection itself.
func (c *Accepted) SyscallConn() (syscall.RawConn, error) { return rawAccepted{c}, nil }

type rawAccepted struct{ conn *Accepted }

func (r rawAccepted) Control(f func(fd uintptr)) error { return r.conn.control(f) }

func (r rawAccepted) Read(f func(fd uintptr) bool) error {
	w, err := r.conn.once(f, &r.conn.reading)
	if err == nil && w != nil {
		err = w.raw.Read(f)
	}
	return r.conn.failed("raw-read", err)
}

func (r rawAccepted) Write(f func(fd uintptr) bool) error {
	w, err := r.conn.once(f, &r.conn.writing)
	if err == nil && w != nil {
		err = w.raw.Write(f)
	}
	return r.conn.failed("raw-write", err)
}

// addrPort is the address in a form without pointers.
func addrPort(addr syscall.Sockaddr) netip.AddrPort {
	switch addr := addr.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(addr.Addr), uint16(addr.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(addr.Addr).Unmap().WithZone(zone(addr.ZoneId)), uint16(addr.Port))
	default:
		return netip.AddrPort{}
	}
}

func zone(id uint32) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(id), 10)
}

func bare(conn net.Conn) syscall.Conn {
	if c, ok := conn.(*Accepted); ok {
		return c
	}
	return nil
}
