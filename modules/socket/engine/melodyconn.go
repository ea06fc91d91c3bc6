package engine

import (
	"sync"
	"time"
)

// melodyConn is a connection that melody reads from, through gorilla. Once it is open, only
// the engine writes to it. Gorilla uses it as a [net.Conn], the engine as a [transport].
//
// It inspects the bytes that pass for the size of the client's close frame, because gorilla
// accepts a close frame of one byte, which RFC 6455 forbids.
type melodyConn struct {
	netConn
	conn     *Conn
	upgraded chan bool // receives once: whether the upgrade succeeded

	// Used by the reading goroutine only.
	open       bool
	head       [maxClientHeader]byte
	headBytes  int    // bytes of head that have arrived
	skip       uint64 // payload bytes to skip
	closing    bool   // a close frame has begun
	shortClose bool   // its payload has one byte

	mu     sync.Mutex
	paused chan struct{} // closed on resume; nil while melody may read
}

var _ transport = (*melodyConn)(nil)

// Read implements [net.Conn].
func (m *melodyConn) Read(data []byte) (int, error) {
	n, err := m.Conn.Read(data)
	m.findClose(data[:n])
	return n, err
}

// Write implements [net.Conn] for gorilla. It sends the response to the handshake. Later,
// gorilla writes only close frames, when the client breaks the protocol. Write drops these,
// because the engine sends its own.
func (m *melodyConn) Write(data []byte) (int, error) {
	if m.open {
		return len(data), nil
	}
	return m.Conn.Write(data)
}

// SetWriteDeadline implements [net.Conn] for gorilla. Once the connection is open, only the
// engine sets the deadline.
func (m *melodyConn) SetWriteDeadline(t time.Time) error {
	if m.open {
		return nil
	}
	return m.Conn.SetWriteDeadline(t)
}

// findClose reads frame headers until a close frame begins.
func (m *melodyConn) findClose(data []byte) {
	for len(data) > 0 && !m.closing {
		if m.skip > 0 {
			n := min(m.skip, uint64(len(data)))
			m.skip -= n
			data = data[n:]
			continue
		}
		m.head[m.headBytes] = data[0]
		m.headBytes++
		data = data[1:]
		if h := readHeader(m.head[:m.headBytes]); h.length > 0 {
			m.headBytes, m.skip = 0, h.size
			m.closing = h.op == opClose
			m.shortClose = m.closing && h.size == 1
		}
	}
}

// try implements transport. It writes nothing, because a write could block.
func (*melodyConn) try([]byte) (int, error) { return 0, nil }

// setConn implements transport.
func (m *melodyConn) setConn(c *Conn) { m.conn = c }

// cut implements transport. It resumes reading, so that melody sees the end.
func (m *melodyConn) cut() {
	m.close()
	m.pause(false)
}

// pause implements transport.
func (m *melodyConn) pause(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case on && m.paused == nil:
		m.paused = make(chan struct{})
	case !on && m.paused != nil:
		close(m.paused)
		m.paused = nil
	}
}

// waitResumed blocks melody's reader while the connection is paused.
func (m *melodyConn) waitResumed() {
	m.mu.Lock()
	paused := m.paused
	m.mu.Unlock()
	if paused != nil {
		<-paused
	}
}
