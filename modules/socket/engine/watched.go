package engine

import (
	"bufio"
	"net"
	"net/http"
)

// hijacked is the response to a request whose connection was taken over
// already. gorilla takes it from here.
type hijacked struct {
	http.ResponseWriter
	conn    net.Conn
	buffers *bufio.ReadWriter
}

// Hijack implements [http.Hijacker].
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.buffers, nil }

// watched is the connection that melody reads from. It notes the length of the
// client's close frame as the bytes pass: gorilla takes a close frame with one
// byte, which RFC 6455 forbids, for an empty one, and does not tell.
type watched struct {
	corked
	conn     *Conn
	pump     *pumped
	upgraded chan bool // says how the upgrade went

	// For the goroutine that reads.
	head   [maxClientHeader]byte
	known  int    // bytes of head that have come
	skip   uint64 // bytes of a payload that have not come yet
	ending bool   // a close frame has begun
	stub   bool   // it has one byte
}

// Read implements [net.Conn].
func (w *watched) Read(data []byte) (int, error) {
	n, err := w.Conn.Read(data)
	w.watch(data[:n])
	return n, err
}

func (w *watched) watch(data []byte) {
	for len(data) > 0 && !w.ending {
		if w.skip > 0 {
			n := min(w.skip, uint64(len(data)))
			w.skip -= n
			data = data[n:]
			continue
		}
		w.head[w.known] = data[0]
		w.known++
		data = data[1:]
		if h := readHeader(w.head[:w.known]); h.length > 0 {
			w.known, w.skip = 0, h.size
			w.ending = h.op == opClose
			w.stub = w.ending && h.size == 1
		}
	}
}
