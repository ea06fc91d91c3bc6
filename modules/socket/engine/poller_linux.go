package engine

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pollEvents is how many connections are asked for at a time.
const pollEvents = 128

// poller reads from connections behind which there is nothing but the kernel:
// one goroutine and one buffer for all of them, so that an idle connection
// keeps neither. It waits in Go's own poller for an epoll instance that the
// connections are in (see epoll(7), "Can an epoll file descriptor be polled").
type poller struct {
	mu      sync.Mutex
	epoll   *os.File  // nil before the first connection
	fd      int       // epoll's
	sockets []*polled // by descriptor
	done    chan struct{}
}

// polled is a connection that the poller reads from. It uses the descriptor
// itself, which stays open until nobody does any more: what ends a connection
// before is a shutdown, which the poller notices.
type polled struct {
	webSocket
	poller *poller
	conn   *Conn
	fd     int
	known  bool // to epoll; guarded by poller.mu, like the next ones
	ended  bool // it is not any more
	reads  bool
}

var _ transport = (*polled)(nil)

// adopt returns a transport that the poller reads from, once it is not held any
// more, or nil when it cannot.
func (p *poller) adopt(c *Conn, conn net.Conn) transport {
	bare := kernelConn(conn)
	if bare == nil {
		return nil
	}
	s := &polled{webSocket: webSocket{conn}, poller: p, conn: c}
	raw, err := bare.SyscallConn()
	if err != nil || raw.Control(func(fd uintptr) { s.fd = int(fd) }) != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.startLocked() != nil {
		return nil
	}
	return s
}

// kernelConn returns conn where nothing but the kernel is behind it, and else
// nil: what is written to a TLS connection, or to one that its listener has
// wrapped, is not what goes to its descriptor.
func kernelConn(conn net.Conn) syscall.Conn {
	switch conn := conn.(type) {
	case *net.TCPConn:
		return conn
	case *net.UnixConn:
		return conn
	default:
		return nil
	}
}

func (p *poller) startLocked() error {
	if p.epoll != nil {
		return nil
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // os keeps it out of Go's poller else
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

// stop ends the poller's goroutine. Nothing may be adopted any more.
func (p *poller) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoll != nil {
		_ = p.epoll.Close()
	}
}

// stopped returns when the poller's goroutine has ended, after stop.
func (p *poller) stopped() {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (p *poller) run(raw syscall.RawConn, done chan struct{}) {
	defer close(done)
	events, buffer := make([]syscall.EpollEvent, pollEvents), make([]byte, readBytes)
	var n int
	wait := func(fd uintptr) bool {
		n = rawEpollWait(int(fd), events)
		return n > 0
	}
	for raw.Read(wait) == nil { // until it is stopped
		for _, event := range events[:n] {
			p.ready(event, buffer)
		}
	}
}

// ready reads from a connection once: while there is more, epoll says so again.
func (p *poller) ready(event syscall.EpollEvent, buffer []byte) {
	p.mu.Lock()
	s := p.sockets[event.Fd]
	reads := s != nil && s.reads
	p.mu.Unlock()
	switch {
	case s == nil:
	case reads:
		s.end(s.read(buffer))
	case event.Events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0:
		s.end(ending{reason: TransportError})
	}
}

// read takes what there is of one connection.
func (s *polled) read(buffer []byte) ending {
	n, err := rawRead(s.fd, buffer)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return ending{}
	case err != nil:
		return ending{reason: TransportError}
	case n == 0:
		return ending{reason: TransportClose}
	}
	return s.conn.feed(buffer[:n])
}

// end ends a connection that there is no more to read from.
func (s *polled) end(end ending) {
	if end.reason == 0 {
		return
	}
	s.poller.mu.Lock()
	_ = s.controlLocked(syscall.EPOLL_CTL_DEL)
	s.poller.sockets[s.fd] = nil
	s.known, s.ended = false, true
	s.poller.mu.Unlock()
	go s.conn.end(end)
}

// hold implements transport. Where epoll has no room for the connection, it
// ends.
func (s *polled) hold(on bool) {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	s.reads = !on
	switch {
	case s.known:
		_ = s.controlLocked(syscall.EPOLL_CTL_MOD)
	case s.ended:
	case s.controlLocked(syscall.EPOLL_CTL_ADD) != nil:
		s.ended = true
		go s.conn.end(ending{reason: TransportError})
	default:
		for len(p.sockets) <= s.fd {
			p.sockets = append(p.sockets, nil)
		}
		p.sockets[s.fd], s.known = s, true
	}
}

func (s *polled) controlLocked(operation int) error {
	event := syscall.EpollEvent{Fd: int32(s.fd)}
	if s.reads {
		event.Events = syscall.EPOLLIN
	}
	return syscall.EpollCtl(s.poller.fd, operation, s.fd, &event)
}

// try implements transport.
func (s *polled) try(data []byte) (int, error) { return rawWrite(s.fd, data) }

// write implements transport.
func (s *polled) write(b *batch, deadline time.Time) error {
	if err := s.net.SetWriteDeadline(deadline); err != nil {
		return err
	}
	buffer := s.conn.engine.buffers.gather()
	defer s.conn.engine.buffers.put(buffer)
	for b.size > 0 {
		chunk := b.chunk(*buffer)
		if _, err := s.net.Write(chunk); err != nil {
			return err
		}
		b.wrote(len(chunk))
	}
	return nil
}

// cut implements transport.
func (s *polled) cut() { _ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR) }
