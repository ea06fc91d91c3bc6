package engine

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// TestHandshakeIsNotTaken checks that the engine does not wait for a client that does
// not read the response to its handshake.
func TestHandshakeIsNotTaken(t *testing.T) {
	t.Parallel()
	s := startOn(t, func(h http.Handler) *httptest.Server {
		return newServer(h, func(l net.Listener) net.Listener { return fullListener{l} })
	}, Config{})
	if _, resp := s.dialRaw(t, "GET /ws HTTP/1.1", validHandshake()...); resp != nil {
		t.Errorf("answered by %d", resp.StatusCode)
	}
	receive(t, s.receivers).wantClosed(t, TransportError)
}

type fullListener struct{ net.Listener }

// fullConn is a connection whose writes block.
type fullConn struct {
	net.Conn
	until chan time.Time // with a buffer of one
}

func (l fullListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return fullConn{conn, make(chan time.Time, 1)}, err
}

// SetWriteDeadline implements [net.Conn].
func (c fullConn) SetWriteDeadline(t time.Time) error {
	c.until <- t
	return nil
}

// Write implements [net.Conn]. Without a deadline it blocks forever.
func (c fullConn) Write([]byte) (int, error) {
	<-time.After(time.Until(<-c.until))
	return 0, os.ErrDeadlineExceeded
}
