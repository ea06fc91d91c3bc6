package engine

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
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

// polled is a connection that the poller reads from, until it has ended. What
// ends it from this side is a shutdown, which the poller notices: the
// descriptor belongs to it, and is not another connection's meanwhile.
type polled struct {
	webSocket
	poller *poller
	conn   *Conn
	fd     int
	reads  bool // guarded by poller.mu, like the next one
	left   bool // the poller's hands
}

var _ transport = (*polled)(nil)

// adopt makes the poller read from a connection, once it is released. It
// returns nil when it cannot.
func (p *poller) adopt(c *Conn, conn net.Conn) transport {
	s := &polled{poller: p, conn: c}
	s.open(conn)
	if s.raw == nil || s.raw.Control(func(fd uintptr) { s.fd = int(fd) }) != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.startLocked() != nil || s.controlLocked(syscall.EPOLL_CTL_ADD) != nil {
		return nil
	}
	for len(p.sockets) <= s.fd {
		p.sockets = append(p.sockets, nil)
	}
	p.sockets[s.fd] = s
	return s
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
		var err error
		for {
			if n, err = syscall.EpollWait(int(fd), events, 0); !errors.Is(err, syscall.EINTR) {
				return n > 0
			}
		}
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
	var end ending
	switch {
	case s == nil:
	case reads:
		end = s.read(buffer)
	case event.Events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0:
		end = ending{reason: TransportError}
	}
	if end.reason != 0 {
		p.leave(s)
		go s.conn.end(end)
	}
}

// read takes what there is of one connection.
func (s *polled) read(buffer []byte) ending {
	for {
		n, err := syscall.Read(s.fd, buffer)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return ending{}
		case err != nil:
			return ending{reason: TransportError}
		case n == 0:
			return ending{reason: TransportClose}
		}
		return s.conn.feed(buffer[:n])
	}
}

// leave gives a connection's descriptor back.
func (p *poller) leave(s *polled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = s.controlLocked(syscall.EPOLL_CTL_DEL)
	s.left = true
	p.sockets[s.fd] = nil
}

// hold stops reading, or releases it.
func (s *polled) hold(on bool) {
	s.poller.mu.Lock()
	defer s.poller.mu.Unlock()
	if s.left || s.reads == !on {
		return
	}
	s.reads = !on
	_ = s.controlLocked(syscall.EPOLL_CTL_MOD)
}

// cut ends both directions, and closes the connection once the poller has left
// it.
func (s *polled) cut() {
	s.poller.mu.Lock()
	if !s.left {
		defer s.poller.mu.Unlock()
		_ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR)
		return
	}
	s.poller.mu.Unlock()
	s.webSocket.cut()
}

func (s *polled) controlLocked(operation int) error {
	event := syscall.EpollEvent{Fd: int32(s.fd)}
	if s.reads {
		event.Events = syscall.EPOLLIN
	}
	return syscall.EpollCtl(s.poller.fd, operation, s.fd, &event)
}
