package upgrade

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// hijackedBuffer is in bytes: whoever takes a connection over brings his own.
const hijackedBuffer = 16

// serve has a request answered. A connection that is not taken over ends with
// its answer.
func (l *Listener) serve(conn net.Conn, r *http.Request) {
	a := &answer{conn: conn, header: make(http.Header)}
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // it is what is panicked with
			l.cfg.Log.Error("upgrade: a handler panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		if !a.hijacked {
			_ = conn.Close()
		}
	}()
	l.cfg.Handler.ServeHTTP(a, r)
	if a.hijacked {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(l.cfg.Timeout))
	if err := a.send(); err != nil {
		l.cfg.Log.Debug("upgrade: an answer could not be sent", "err", err)
	}
}

// answer is a [http.ResponseWriter] whose body is sent at once, when the handler
// returns.
type answer struct {
	conn     net.Conn
	header   http.Header
	status   int // 0: not decided
	body     bytes.Buffer
	hijacked bool
}

var (
	_ http.Hijacker = (*answer)(nil)
	_ http.Flusher  = (*answer)(nil)
)

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

// Hijack implements [http.Hijacker].
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case a.hijacked:
		return nil, nil, http.ErrHijacked
	case a.status != 0:
		return nil, nil, errors.New("upgrade: the request is answered already")
	}
	if err := a.conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	a.hijacked = true
	return a.conn, bufio.NewReadWriter(bufio.NewReaderSize(a.conn, hijackedBuffer), bufio.NewWriterSize(a.conn, hijackedBuffer)), nil
}

func (a *answer) send() error {
	a.WriteHeader(http.StatusOK)
	if a.header.Get("Date") == "" {
		a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	response := http.Response{
		StatusCode:    a.status,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(&a.body),
		ContentLength: int64(a.body.Len()),
		Close:         true,
	}
	w := bufio.NewWriter(a.conn)
	if err := response.Write(w); err != nil {
		return err
	}
	return w.Flush()
}
