package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// hijacker gives gorilla the connection as a [wire], with buffers that serve
// again.
type hijacker struct {
	http.ResponseWriter
	conn    *Conn
	buffers *bufio.ReadWriter
}

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	wire := &wire{Conn: conn, conn: h.conn}
	if rw.Reader.Buffered() > 0 { // gorilla refuses it
		return wire, rw, nil
	}
	h.buffers.Reader.Reset(wire)
	h.buffers.Writer.Reset(wire)
	return wire, h.buffers, nil
}

// wire is the connection as gorilla and melody see it. The engine alone writes:
// the answer to the handshake as well, which the client so reads together with
// the first frames. Once the wire is taken, it alone closes and sets deadlines,
// too, so that it knows what is out and need not wait for another writer. Where
// the engine reads as well, gorilla and melody find the end.
type wire struct {
	net.Conn
	conn   *Conn
	answer []byte  // to the handshake
	taken  bool    // set before the goroutines that could write begin, like the next one
	pumped *pumped // nil: the engine reads
}

// Read implements [net.Conn].
func (w *wire) Read(data []byte) (int, error) {
	if w.taken && w.pumped == nil {
		return 0, io.EOF
	}
	return w.Conn.Read(data)
}

// SetReadDeadline implements [net.Conn].
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.taken {
		return nil
	}
	return w.Conn.SetReadDeadline(t)
}

// Write implements [net.Conn].
func (w *wire) Write(data []byte) (int, error) {
	if !w.taken {
		w.answer = append(w.answer, data...)
	}
	return len(data), nil
}

// SetWriteDeadline implements [net.Conn].
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.taken {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}

// Close implements [net.Conn].
func (w *wire) Close() error {
	if w.taken {
		return nil
	}
	return w.Conn.Close()
}
