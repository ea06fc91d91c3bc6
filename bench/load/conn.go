//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// phase is how far a connection is.
type phase byte

const (
	connecting phase = iota // TCP
	upgrading               // HTTP
	talking                 // the session's steps
	ready
	closed
)

// conn is one client.
type conn struct {
	fd      int
	phase   phase
	step    int
	number  int // among the connections of the plan
	session *Session
	steps   []Step   // the session's, or those by which it resumes
	marker  []byte   // precedes the number to remember; nil: none
	seen    int64    // the last number
	rest    []byte   // what was read of a frame that is not complete
	last    string   // while talking: what was said to no avail
	polling *polling // nil: it is a WebSocket
	// client is the one whose POST requests this connection carries, one at a time;
	// nil: the connection is a client itself.
	client *conn
	waits  bool // a POST request is to be answered
}

var errClosed = errors.New("the server closed the connection")

// dial begins to connect. Addresses of the loopback network are used up one
// after the other, since one has only so many ports.
func dial(session *Session, number int) (*conn, error) {
	to, err := netip.ParseAddrPort(session.Addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	c := &conn{fd: fd, number: number, session: session, steps: session.Steps}
	if session.Resume != nil {
		c.marker = []byte(session.Resume.Marker)
	}
	if err := c.connect(to, number); err != nil {
		c.close()
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	return c, nil
}

// portsOfAnAddress is how many clients have the same address. One that polls has
// two connections.
const portsOfAnAddress = 10000

func (c *conn) connect(to netip.AddrPort, number int) error {
	for _, option := range []struct{ level, name int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT},
	} {
		if err := unix.SetsockoptInt(c.fd, option.level, option.name, 1); err != nil {
			return err
		}
	}
	// Ends with a reset: nothing is left of it that a later run would meet.
	if err := unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if to.Addr().IsLoopback() {
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + number/portsOfAnAddress)}}
		if err := unix.Bind(c.fd, from); err != nil {
			return err
		}
	}
	err := unix.Connect(c.fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if errors.Is(err, unix.EINPROGRESS) {
		err = nil
	}
	return err
}

// connected sends the first request: for an upgrade, unless the client polls.
func (c *conn) connected() error {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	if c.client != nil {
		c.phase = talking
		return c.post()
	}
	if c.polling != nil {
		c.phase = talking
		return c.poll()
	}
	c.phase = upgrading
	return c.write([]byte("GET " + c.session.Path + " HTTP/1.1\r\nHost: " + c.session.Addr +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
}

// upgraded takes the answer off data, once it is there.
func (c *conn) upgraded(data []byte) (rest []byte, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return data, nil
	}
	if line, _, _ := bytes.Cut(data, []byte("\r\n")); !bytes.HasPrefix(line, []byte("HTTP/1.1 101")) {
		return nil, fmt.Errorf("no upgrade: %s", data)
	}
	c.phase = talking
	return data[end+4:], c.proceed()
}

// proceed takes the steps that wait for nothing.
func (c *conn) proceed() error {
	for c.step < len(c.steps) && c.steps[c.step].Await == "" {
		if err := c.take(); err != nil {
			return err
		}
	}
	if c.step == len(c.steps) {
		c.phase, c.last = ready, ""
	}
	return nil
}

// awaits reports whether the next step waits for this message.
func (c *conn) awaits(message []byte) bool {
	return c.phase == talking && bytes.HasPrefix(message, []byte(c.steps[c.step].Await))
}

// hear takes the step that waited.
func (c *conn) hear() error {
	if err := c.take(); err != nil {
		return err
	}
	return c.proceed()
}

func (c *conn) take() error {
	say := c.steps[c.step].Say
	c.step++
	if say == "" {
		return nil
	}
	if c.marker != nil {
		say = strings.ReplaceAll(say, Seen, strconv.FormatInt(c.seen, 10))
	}
	return c.say(say)
}

// write sends little: it does not expect to wait.
func (c *conn) write(data []byte) error {
	n, err := unix.Write(c.fd, data)
	if err == nil && n < len(data) {
		err = fmt.Errorf("only %d of %d bytes could be sent", n, len(data))
	}
	return err
}

func (c *conn) close() {
	if c.phase != closed {
		c.phase = closed
		_ = unix.Close(c.fd)
		if c.polling != nil && c.polling.poster != nil {
			c.polling.poster.close()
		}
	}
}
