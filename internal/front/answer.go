package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// hijackedBuffer is in bytes: whoever takes a connection over brings his own.
const hijackedBuffer = 16

// framing are the headers that say how an answer is sent: not its handler's.
var framing = map[string]bool{"Connection": true, "Content-Length": true, "Date": true, "Transfer-Encoding": true}

// serve has a request answered and reports whether its connection waits for
// another. One that does not, and is not taken over, ends with its answer.
func (l *Listener) serve(c *client, r *http.Request) (more bool) {
	a := &c.answer
	a.reset(isCall(r))
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // it is what is panicked with
			l.cfg.Log.Error("front: a handler panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		if !a.hijacked && !more {
			_ = c.Close()
		}
	}()
	l.cfg.Handler.ServeHTTP(a, r)
	if a.hijacked {
		return false
	}
	a.keep = a.keep && !l.over() // the client hears of it before it asks again
	now := time.Now()
	_ = c.SetWriteDeadline(now.Add(l.cfg.Timeout))
	if err := a.send(l.date(now)); err != nil {
		l.cfg.Log.Debug("front: an answer could not be sent", "err", err)
		return false
	}
	return a.keep
}

// answer is a [http.ResponseWriter] whose body is sent at once, when the handler
// returns. It serves the requests of a connection one after the other.
type answer struct {
	conn     net.Conn
	keep     bool // the connection goes on
	header   http.Header
	status   int // 0: not decided
	body     bytes.Buffer
	sent     bytes.Buffer
	hijacked bool
}

var (
	_ http.Hijacker = (*answer)(nil)
	_ http.Flusher  = (*answer)(nil)
)

func (a *answer) reset(keep bool) {
	a.keep, a.status = keep, 0
	a.body.Reset()
	a.sent.Reset()
	clear(a.header)
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(data []byte) (int, error) {
	if a.hijacked {
		return 0, http.ErrHijacked
	}
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

// Flush implements [http.Flusher]: what is written waits for the rest.
func (a *answer) Flush() {}

// SetReadDeadline is for [http.ResponseController]: the body has arrived.
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// Hijack implements [http.Hijacker].
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case a.hijacked:
		return nil, nil, http.ErrHijacked
	case a.status != 0:
		return nil, nil, errors.New("front: the request is answered already")
	}
	if err := a.conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	a.hijacked = true
	return a.conn, bufio.NewReadWriter(bufio.NewReaderSize(a.conn, hijackedBuffer), bufio.NewWriterSize(a.conn, hijackedBuffer)), nil
}

// date returns the value of the header Date, which is the same for a second.
func (l *Listener) date(now time.Time) string {
	if d := l.today.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	l.today.Store(d)
	return d.text
}

type date struct {
	second int64
	text   string
}

// send writes the answer with one call.
func (a *answer) send(date string) error {
	a.WriteHeader(http.StatusOK)
	w := &a.sent
	w.WriteString("HTTP/1.1 ")
	w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(a.status), 10))
	w.WriteString(" " + http.StatusText(a.status) + "\r\nDate: " + date + "\r\n")
	if err := a.header.WriteSubset(w, framing); err != nil {
		return err
	}
	if !a.keep {
		w.WriteString("Connection: close\r\n")
	}
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		w.WriteString("\r\n")
	} else {
		w.WriteString("Content-Length: ")
		w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(a.body.Len()), 10))
		w.WriteString("\r\n\r\n")
		w.Write(a.body.Bytes())
	}
	_, err := a.conn.Write(w.Bytes())
	return err
}
