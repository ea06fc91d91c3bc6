//go:build linux

package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	openWithin  = 2 * time.Minute
	longestBeat = 8
	lookEvery   = 5 // milliseconds until a command is seen while nothing arrives
)

const (
	// watched asks to be told once of what arrives, which saves epoll a look.
	watched = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	// ending is what the end of a connection is told by.
	ending = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// loop holds the connections. It belongs to one goroutine.
type loop struct {
	epoll      int
	clock      Clock
	conns      []*conn
	byFD       []*conn
	heartbeats map[string]string
	buffer     []byte
	stamps     []byte // the kernel's timestamps; nil: it is not asked for them
	events     []unix.EpollEvent
	took       int // events of the last turn
	latencies  histogram
	churning   churning
	readEvery  time.Duration
	opened     bool
	readyCount int // how often a connection became ready
	lost       int
}

func newLoop() (*loop, error) {
	clock, err := NewClock()
	if err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &loop{epoll: epoll, clock: clock, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}, nil
}

// open opens all connections of a plan and returns once they are ready.
func (l *loop) open(plan Plan) error {
	l.readEvery = plan.ReadEvery
	l.heartbeats = plan.Heartbeats
	if plan.Stamped {
		l.stamps = make([]byte, stampSize)
	}
	deadline := time.Now().Add(openWithin)
	for opened := 0; l.readyCount < len(plan.Sessions); {
		for opened < len(plan.Sessions) && opened-l.readyCount < max(1, plan.AtOnce) {
			if err := l.dial(&plan.Sessions[opened]); err != nil {
				return err
			}
			opened++
		}
		if err := l.turn(); err != nil {
			return err
		}
		if l.lost > 0 {
			return fmt.Errorf("%d of %d connections were closed by the server", l.lost, len(plan.Sessions))
		}
		if time.Now().After(deadline) {
			return l.late(opened, len(plan.Sessions))
		}
	}
	l.opened = true
	return nil
}

func (l *loop) late(opened, of int) error {
	for _, c := range l.conns {
		if c.phase != ready {
			return fmt.Errorf("%d of %d connections are ready after %s, %d were begun; one is at step %d and heard last: %q",
				l.readyCount, of, openWithin, opened, c.step, c.last)
		}
	}
	return fmt.Errorf("only %d of %d connections could be begun within %s", opened, of, openWithin)
}

func (l *loop) dial(session *Session) error {
	c, err := dial(session, len(l.conns))
	if err != nil {
		return err
	}
	if session.Polling {
		c.polling = &polling{url: session.Path}
	}
	l.conns = append(l.conns, c)
	return l.watch(c)
}

// watch waits until a connection is made.
func (l *loop) watch(c *conn) error {
	if l.stamps != nil {
		if err := c.stamp(); err != nil {
			return err
		}
	}
	for len(l.byFD) <= c.fd {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[c.fd] = c
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(c.fd)})
}

// turn waits a moment for what arrives, and takes it. Once all connections are
// open, one that breaks ends nothing else.
func (l *loop) turn() error {
	if l.opened && l.readEvery > 0 && l.took < len(l.events) {
		<-time.After(l.readEvery)
	}
	n, err := unix.EpollWait(l.epoll, l.events, lookEvery)
	l.took = n
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for i := range max(0, n) {
		c := l.byFD[l.events[i].Fd]
		client := cmp.Or(c.client, c)
		before := client.phase
		err := l.advance(c, l.events[i].Events)
		switch {
		case err != nil && (l.opened || before == ready):
			client.close()
			l.lost++
		case err != nil:
			return fmt.Errorf("connection to %s%s: %w", c.session.Addr, c.session.Path, err)
		case client.phase == ready && before != ready:
			l.readyCount++
		}
	}
	return l.churn()
}

func (l *loop) advance(c *conn, events uint32) error {
	if c.phase == closed { // with its client, a moment ago
		return nil
	}
	if c.phase == connecting {
		if err := c.connected(); err != nil {
			return err
		}
		return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: watched, Fd: int32(c.fd)})
	}
	for {
		n, err := l.read(c)
		if err != nil && c.client != nil && !c.waits { // the server ends one that was idle
			c.close()
			c.client.polling.poster = nil
			return nil
		}
		if err != nil || n < len(l.buffer) && events&ending == 0 {
			return err
		}
	}
}

// read takes what has arrived. When that does not fill the buffer there is
// nothing more: epoll tells of what comes later.
func (l *loop) read(c *conn) (n int, err error) {
	var received int64
	if l.stamps != nil {
		n, received, err = l.readStamped(c)
	} else {
		n, err = unix.Read(c.fd, l.buffer)
		received = l.clock.Now()
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errClosed
	}
	return n, l.arrived(c, l.buffer[:n], received)
}

// arrived takes what was received by now, and keeps what is not complete.
func (l *loop) arrived(c *conn, data []byte, now int64) error {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	rest, err := l.consume(c, data, now)
	c.rest = append(c.rest[:0], rest...)
	return err
}

// consume takes everything that is complete off data.
func (l *loop) consume(c *conn, data []byte, now int64) (rest []byte, err error) {
	switch {
	case c.client != nil:
		return l.posted(c, data)
	case c.polling != nil:
		return l.polled(c, data, now)
	}
	if c.phase == upgrading {
		if data, err = c.upgraded(data); err != nil || c.phase == upgrading {
			return data, err
		}
	}
	for {
		op, payload, size, ok := nextFrame(data)
		if !ok {
			return data, nil
		}
		if err := l.take(c, op, payload, now); err != nil {
			return nil, err
		}
		data = data[size:]
	}
}

func (l *loop) take(c *conn, op byte, payload []byte, now int64) error {
	switch op {
	case opClose:
		return errClosed
	case opPing:
		return c.write(frameOf(opPong, string(payload)))
	}
	for len(payload) > 0 { // centrifuge puts several messages into a frame, a line each
		message := payload
		if end := bytes.IndexByte(payload, '\n'); end >= 0 {
			message, payload = payload[:end], payload[end+1:]
		} else {
			payload = nil
		}
		if err := l.receive(c, message, now); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) receive(c *conn, message []byte, now int64) error {
	if len(message) <= longestBeat {
		if answer, ok := l.heartbeats[string(message)]; ok {
			return c.say(answer)
		}
	}
	if c.marker != nil {
		c.remember(message)
	}
	if c.awaits(message) {
		return c.hear()
	}
	if sent, ok := sentAt(message); ok {
		l.latencies.add(now - sent)
	} else if c.phase == talking {
		c.last = string(message)
	}
	return nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		c.close()
	}
	_ = unix.Close(l.epoll)
}
