package engine

import (
	"io"
	"net"
	"time"
)

// webSocket is what both transports do with a connection.
type webSocket struct{ net net.Conn }

// close closes what is below TLS, whose own goodbye could block.
func (w *webSocket) close() {
	conn := w.net
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}

// linger lets a goodbye reach a client that is still sending: closing with
// unread bytes would reset the connection and take the goodbye with it.
func (w *webSocket) linger(timeout time.Duration) {
	if half, ok := w.net.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = w.net.SetReadDeadline(time.Now().Add(timeout))
		_, _ = io.Copy(io.Discard, w.net)
	}
}
