package engine

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// poller reads from TCP and Unix sockets with one goroutine and one buffer, so an idle
// connection needs neither. All connections are registered with one epoll instance. The
// goroutine waits for it in Go's own poller, because an epoll descriptor can itself be
// polled (epoll(7)).
type poller struct {
	mu    sync.Mutex
	epoll *os.File      // nil before the first connection
	fd    int           // of epoll
	conns []*polledConn // indexed by descriptor
	done  chan struct{} // closed when the goroutine has ended
}

// polledConn is a connection that the poller reads from. It uses the descriptor directly.
// The descriptor stays open until the connection is released. Until then, the connection is
// only shut down, which the poller notices.
type polledConn struct {
	netConn
	poller *poller
	conn   *Conn
	fd     int

	// Guarded by poller.mu.
	registered bool // with epoll
	ended      bool // was registered before, or could not be
	reading    bool // not paused
}

var _ transport = (*polledConn)(nil)

// transport returns a transport for conn, or nil if the poller cannot read from it. Reading
// begins with the transport's pause(false).
func (p *poller) transport(c *Conn, conn net.Conn) transport {
	s := &polledConn{netConn: netConn{conn}, poller: p, conn: c}
	var err error
	if s.fd, err = descriptor(conn); err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.startLocked() != nil {
		return nil
	}
	return s
}

// descriptor returns the file descriptor of a TCP or Unix connection. It refuses other
// types even if they have a descriptor, because TLS and wrapped connections transform the
// bytes.
func descriptor(conn net.Conn) (fd int, err error) {
	var kernel syscall.Conn
	switch conn := conn.(type) {
	case *net.TCPConn:
		kernel = conn
	case *net.UnixConn:
		kernel = conn
	default:
		return 0, errors.ErrUnsupported
	}
	raw, err := kernel.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(descriptor uintptr) { fd = int(descriptor) })
	return fd, err
}

func (p *poller) startLocked() error {
	if p.epoll != nil {
		return nil
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // Go's poller needs a non-blocking file
		return errors.Join(err, syscall.Close(fd))
	}
	epoll := os.NewFile(uintptr(fd), "epoll")
	raw, err := epoll.SyscallConn()
	if err != nil {
		return errors.Join(err, epoll.Close())
	}
	p.epoll, p.fd, p.done = epoll, fd, make(chan struct{})
	go p.run(raw, p.done)
	return nil
}

// stop ends the poller's goroutine. Call it after all connections are released.
func (p *poller) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoll != nil {
		_ = p.epoll.Close()
	}
}

// wait waits for the goroutine to end after stop.
func (p *poller) wait() {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (p *poller) run(raw syscall.RawConn, done chan struct{}) {
	defer close(done)
	events, buffer := make([]syscall.EpollEvent, 128), make([]byte, readBytes)
	var n int
	wait := func(fd uintptr) bool {
		n = rawEpollWait(int(fd), events)
		return n > 0
	}
	for raw.Read(wait) == nil { // an error means that the poller was stopped
		for _, event := range events[:n] {
			p.ready(event, buffer)
		}
	}
}

// ready reads from a connection once. If there is more, epoll reports it again.
func (p *poller) ready(event syscall.EpollEvent, buffer []byte) {
	p.mu.Lock()
	s := p.conns[event.Fd]
	reading := s != nil && s.reading
	p.mu.Unlock()
	switch {
	case s == nil:
	case reading:
		if end := s.read(buffer); end.reason != 0 {
			s.end(end)
		}
	case event.Events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0:
		s.end(readEnd{reason: TransportError})
	}
}

func (s *polledConn) read(buffer []byte) readEnd {
	n, err := rawRead(s.fd, buffer)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return readEnd{}
	case err != nil:
		return readEnd{reason: TransportError}
	case n == 0:
		return readEnd{reason: TransportClose}
	}
	c := s.conn
	end := c.feed(buffer[:n])
	if s.conn != c { // the new connection handles the rest of the input
		s.conn.inbound, c.inbound = c.inbound, nil
	}
	return end
}

// setConn implements transport.
func (s *polledConn) setConn(c *Conn) { s.conn = c }

// end removes the connection from the poller and releases it.
func (s *polledConn) end(end readEnd) {
	s.poller.mu.Lock()
	_ = s.controlLocked(syscall.EPOLL_CTL_DEL)
	s.poller.conns[s.fd] = nil
	s.registered, s.ended = false, true
	s.poller.mu.Unlock()
	go s.release(end)
}

// release waits for the replies to the client, and then releases the connection.
func (s *polledConn) release(end readEnd) {
	c := s.conn
	c.inbound = nil // free it, because waiting may take seconds
	if end.reason == TransportClose {
		c.peerClosed(end.closeCode)
	}
	c.stopReading(end.reason, end.notify)
	c.release()
}

// pause implements transport. If the connection cannot be registered with epoll, pause ends
// it.
func (s *polledConn) pause(on bool) {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	s.reading = !on
	switch {
	case s.registered:
		_ = s.controlLocked(syscall.EPOLL_CTL_MOD)
	case s.ended:
	case s.controlLocked(syscall.EPOLL_CTL_ADD) != nil:
		s.ended = true
		go s.release(readEnd{reason: TransportError})
	default:
		for len(p.conns) <= s.fd {
			p.conns = append(p.conns, nil)
		}
		p.conns[s.fd], s.registered = s, true
	}
}

func (s *polledConn) controlLocked(operation int) error {
	event := syscall.EpollEvent{Fd: int32(s.fd)}
	if s.reading {
		event.Events = syscall.EPOLLIN
	}
	return syscall.EpollCtl(s.poller.fd, operation, s.fd, &event)
}

// try implements transport.
func (s *polledConn) try(data []byte) (int, error) { return rawWrite(s.fd, data) }

// cut implements transport.
func (s *polledConn) cut() { _ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR) }
