// Package front answers what clients ask for most often without net/http's
// server: the requests that open WebSockets, and short calls that come again
// and again on connections that are kept.
//
// That server gives each connection buffers, contexts and a goroutine whose
// stack has to grow, and a connection that it hands over leaves them all behind
// as garbage: a sixth of what connecting costs. A call it gives a second
// goroutine, which reads ahead, and a context that ends with the connection: for
// a call that does little they are a tenth of all.
//
// [Listener] looks at the requests of each connection, and has the ordinary ones
// of these two kinds answered by the same handler as all others. With the first
// that is of another kind, or in any way unusual, the connection is net/http's
// for good, byte for byte.
package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// tellEvery is how often at most it is logged that connections cannot be
// accepted.
const tellEvery = 10 * time.Second

// Config is how a [Listener] answers. All of it is required.
type Config struct {
	Handler   http.Handler
	Sockets   []string               // paths where WebSockets are opened, as they are in a request
	Calls     func(path string) bool // whether a path is that of a short call: POST, and an answer soon
	Timeout   time.Duration          // for a request to arrive, and for an answer to be taken
	Idle      time.Duration          // for a connection to be silent between calls
	MaxHeader int                    // bytes of a header; net/http refuses a longer one
	Log       *slog.Logger
}

// Listener passes on what it does not answer itself: it is for
// [http.Server.Serve]. Its methods may be called concurrently.
type Listener struct {
	net.Listener
	cfg     Config
	work    *tasks.Group
	others  chan accepted
	start   sync.Once
	buffers sync.Pool // of *[]byte
	readers sync.Pool // of *bufio.Reader
	today   atomic.Pointer[date]

	mu     sync.Mutex
	conns  map[net.Conn]bool // those that are not passed on; true: it waits for a request
	closed chan struct{}
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// New returns a listener that takes connections from inner once Accept is
// called.
func New(inner net.Listener, cfg Config) *Listener {
	return &Listener{
		Listener: inner,
		cfg:      cfg,
		work:     tasks.New(),
		others:   make(chan accepted),
		buffers: sync.Pool{New: func() any {
			buffer := make([]byte, requestBytes)
			return &buffer
		}},
		readers: sync.Pool{New: func() any { return bufio.NewReader(nil) }},
		conns:   make(map[net.Conn]bool),
		closed:  make(chan struct{}),
	}
}

// Accept implements [net.Listener]. It returns connections of which a request
// is not answered here.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { l.work.Run(l.accept) })
	select {
	case a := <-l.others:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections on which a request is waited for
// end, and requests that have been read are answered.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return nil
	}
	close(l.closed)
	for conn, waits := range l.conns {
		if waits {
			_ = conn.SetReadDeadline(time.Now())
		}
	}
	return l.Listener.Close()
}

// over reports whether the listener is closed.
func (l *Listener) over() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Stop closes the listener and waits, until ctx ends, for what is being
// answered: the connections of what is left then are closed.
func (l *Listener) Stop(ctx context.Context) error {
	failed := l.Close()
	late := l.work.Finish(ctx)
	if late != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for conn := range l.conns {
			_ = conn.Close()
		}
	}
	return errors.Join(failed, late)
}

// accept takes connections until the listener is closed.
func (l *Listener) accept(context.Context) {
	var told time.Time
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && time.Since(told) > tellEvery {
				told = time.Now()
				l.cfg.Log.Warn("front: connections cannot be accepted; are there file descriptors enough?", "err", err)
			}
			// Who accepts waits before he tries again, and so does this.
			if !l.pass(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !l.work.Run(func(context.Context) { l.begin(conn) }) {
			_ = conn.Close()
		}
	}
}

// pass hands something to Accept. It reports false when the listener is closed.
func (l *Listener) pass(a accepted) bool {
	select {
	case l.others <- a:
		return true
	case <-l.closed:
		return false
	}
}

// client is a connection whose requests are answered here while they are
// ordinary.
type client struct {
	net.Conn
	addr   string
	last   header // of a call
	answer answer
}

// begin sees to it that a connection's requests are answered.
func (l *Listener) begin(conn net.Conn) {
	defer l.left(conn)
	buffer, _ := l.buffers.Get().(*[]byte)
	defer l.buffers.Put(buffer)
	c := &client{Conn: conn, addr: conn.RemoteAddr().String(), answer: answer{conn: conn, header: make(http.Header)}}
	for idle := l.cfg.Timeout; ; idle = l.cfg.Idle {
		data, r, err := l.next(c, *buffer, idle)
		l.arrived(conn)
		switch {
		case r != nil:
			if l.serve(c, r) {
				continue
			}
		case err != nil, // as net/http, it says nothing to that
			conn.SetDeadline(time.Time{}) != nil,
			!l.pass(accepted{conn: &begun{Conn: conn, data: bytes.Clone(data)}}):
			_ = conn.Close()
		}
		return
	}
}

// await notes that a request is waited for, and until when. It reports false
// when the listener is closed.
func (l *Listener) await(conn net.Conn, until time.Time) bool {
	if conn.SetReadDeadline(until) != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *Listener) arrived(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = false
}

func (l *Listener) left(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// begun is a connection of which something has been read.
type begun struct {
	net.Conn
	data []byte
}

// Read implements [net.Conn].
func (b *begun) Read(data []byte) (int, error) {
	if len(b.data) == 0 {
		return b.Conn.Read(data)
	}
	n := copy(data, b.data)
	b.data = b.data[n:]
	return n, nil
}

// CloseWrite is what net/http calls so that an answer reaches a client which is
// still sending.
func (b *begun) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
