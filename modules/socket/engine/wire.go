package engine

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// hijacker gives gorilla the connection as a [wire].
type hijacker struct {
	http.ResponseWriter
	conn *Conn
}

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &wire{Conn: conn, conn: h.conn}, rw, nil
}

// wire is the connection as gorilla and melody see it. Once it is taken they
// only read from it: the engine alone writes, closes and sets the deadline of
// writes, so that it knows what is out and need not wait for another writer.
type wire struct {
	net.Conn
	conn  *Conn
	taken bool // set before the goroutines that could write begin
}

// Write implements [net.Conn].
func (w *wire) Write(data []byte) (int, error) {
	if w.taken {
		return len(data), nil
	}
	return w.Conn.Write(data)
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
