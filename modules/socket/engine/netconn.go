package engine

import (
	"io"
	"net"
	"time"
)

// netConn is the part of a [transport] that both readers share.
type netConn struct{ net.Conn }

// write implements transport.
func (n netConn) write(b *batch, buffer []byte, deadline time.Time) error {
	if err := n.Conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	for b.size > 0 {
		chunk := b.chunk(buffer)
		if _, err := n.Conn.Write(chunk); err != nil {
			return err
		}
		b.advance(len(chunk))
	}
	return nil
}

// linger implements transport. Without it, closing a socket that has unread
// data would reset the connection, and the client could lose the close frame.
func (n netConn) linger(timeout time.Duration) {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = n.Conn.SetReadDeadline(time.Now().Add(timeout))
		_, _ = io.Copy(io.Discard, n.Conn)
	}
}

// close implements transport. It skips TLS, whose close alert could block.
func (n netConn) close() {
	conn := n.Conn
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
