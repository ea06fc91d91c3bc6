package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// noopWait is how long a GET request is held during an upgrade. The client sends no
	// other GET request before the answer.
	noopWait = 100 * time.Millisecond
	// compressFrom is the size of a payload, in bytes, from which it is compressed.
	compressFrom = 1024
)

// Engine.IO packets without data.
var (
	engineClose = []byte{'1'}
	engineNoop  = []byte{'6'}
	// noopAndClose is the answer of Node's server to a request after the close.
	noopAndClose = []byte{'6', separator, '1'}
)

// polling is the additional state of a connection that began with HTTP long polling. Its
// frames wait in the connection's queue until a GET request takes them, or until a
// WebSocket becomes the connection's transport.
type polling struct {
	sid string
	// input is held while the packets of a POST request are handled.
	input sync.Mutex

	// Guarded by Conn.mu.
	wake     chan struct{} // tells the pending GET to check again; nil if there is none
	posting  bool          // a POST request is being handled
	resumed  chan struct{} // closed when a waiting POST request may go on; nil if none waits
	probe    *Conn         // the WebSocket that may become the transport
	probed   bool          // the probe was answered: GET requests return noops
	noop     bool          // the session's last packet must be a noop
	released bool
}

// openPolling answers the request that opens a session.
func (e *Engine) openPolling(w http.ResponseWriter, c *Conn) {
	c.heartbeat.start(c)
	c.mu.Lock()
	if c.phase == opening {
		c.phase = open
	}
	c.mu.Unlock()
	if e.cfg.Cookie != "" {
		http.SetCookie(w, &http.Cookie{Name: e.cfg.Cookie, Value: c.polling.sid, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	_ = writePayload(w, nil, e.openPacket(c.polling.sid, e.cfg.WebSocket)) // if the client has gone, no request follows
}

// end is called when the connection ends. It closes a WebSocket that is being probed, and
// locks input so that no more packets are handled.
func (p *polling) end(c *Conn) {
	c.mu.Lock()
	probe := p.probe
	c.mu.Unlock()
	if probe != nil {
		probe.Close(TransportClose)
	}
	p.input.Lock()
}

// isPollingLocked reports whether HTTP requests carry the connection's messages.
func (c *Conn) isPollingLocked() bool { return c.polling != nil && c.transport == nil }

// Polling reports whether the client uses HTTP long polling now.
func (c *Conn) Polling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isPollingLocked()
}

// servePolling serves a request of an open session.
func (c *Conn) servePolling(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		c.poll(w, r)
	case http.MethodPost:
		c.post(w, r)
	default:
		w.WriteHeader(http.StatusInternalServerError) // like Node's server
	}
}

// poll answers a GET request with the queued packets. It waits until there are some.
func (c *Conn) poll(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	switch {
	case c.phase == closed:
		c.mu.Unlock()
		errSession.answer(w, r)
		return
	case c.transport != nil:
		c.mu.Unlock()
		errRequest.answer(w, r)
		return
	case c.polling.wake != nil:
		c.beginCloseLocked(TransportError)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})  // the server's deadlines are shorter than a heartbeat;
	_ = control.SetWriteDeadline(time.Time{}) // an error means that there are none
	payload, last := c.takePayloadLocked(r.Context())
	c.mu.Unlock()
	if payload == nil { // the client has gone
		c.cut(TransportError)
		return
	}
	_ = control.SetWriteDeadline(time.Now().Add(c.engine.cfg.PingTimeout))
	if err := writePayload(w, r, payload); err != nil || last {
		c.cut(TransportError) // an earlier reason counts
	}
}

// takePayloadLocked waits for packets and takes them from the queue. last is true if the
// payload announces the end of the session. Such a payload has no other packets, because a
// client would handle the end before them. It returns nil if ctx ends before there are
// packets. It unlocks c.mu while it waits.
func (c *Conn) takePayloadLocked(ctx context.Context) (payload []byte, last bool) {
	p := c.polling
	wake := make(chan struct{}, 1)
	p.wake = wake
	defer func() { p.wake = nil }()
	bye := noopAndClose
	for {
		switch {
		case c.transport != nil: // upgraded meanwhile
			return engineNoop, false
		case c.queue != nil:
			b := c.queue
			c.queue = nil
			for _, f := range b.frames {
				payload = appendPackets(payload, f)
			}
			c.engine.stats.add(len(b.frames), len(payload), 1)
			c.engine.buffers.release(b)
			c.freeLocked()
			return payload, false
		case c.phase >= closing && p.noop: // the client has closed the session itself
			return engineNoop, true
		case c.phase >= closing:
			return bye, true
		}
		bye = engineClose
		var upgrading <-chan time.Time // if nil, a ping or the close ends the wait
		if p.probed {
			upgrading = time.After(noopWait)
		}
		c.mu.Unlock()
		noop, gone := false, false
		select {
		case <-wake:
		case <-upgrading:
			noop = true
		case <-ctx.Done():
			gone = true
		}
		c.mu.Lock()
		switch {
		case gone:
			return nil, false
		case noop && c.queue == nil && c.phase == open && c.transport == nil:
			return engineNoop, false
		}
	}
}

// wakePollLocked tells the pending GET request to check again.
func (c *Conn) wakePollLocked() {
	if c.polling != nil && c.polling.wake != nil {
		select {
		case c.polling.wake <- struct{}{}:
		default: // it is already told
		}
	}
}

// post handles the packets of a POST request.
func (c *Conn) post(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	switch {
	case c.phase != open:
		c.mu.Unlock()
		errSession.answer(w, r)
		return
	case c.transport != nil:
		c.mu.Unlock()
		errRequest.answer(w, r)
		return
	case c.polling.posting || strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream"):
		c.beginCloseLocked(TransportError)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.polling.posting = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.polling.posting = false
		c.mu.Unlock()
	}()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(c.engine.cfg.PingTimeout)) // an error means that no deadline can be set
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.engine.cfg.MaxFrame))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		c.cut(TransportError)
		return
	}
	c.handlePayload(r.Context(), body)
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", "2")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok") // an error means that the client has gone
}

// handlePayload handles the packets of a POST request, up to the first invalid one. It
// waits while the connection is paused.
func (c *Conn) handlePayload(ctx context.Context, payload []byte) {
	c.polling.input.Lock()
	defer c.polling.input.Unlock()
	for more := true; more && c.awaitResumed(ctx); {
		var packet []byte
		packet, payload, more = bytes.Cut(payload, []byte{separator})
		kind, data, ok := decodePacket(packet)
		if !ok {
			c.fail(ParseError)
			return
		}
		if end := c.message(kind, data); end.reason != 0 { // a close packet
			c.closedByClient(end.reason)
			return
		}
	}
}

// closedByClient ends the connection. The pending GET request is answered with a noop.
func (c *Conn) closedByClient(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase != open:
	case c.polling.wake == nil:
		c.cutLocked(reason)
	default:
		c.polling.noop = true
		c.closeLocked(reason, nil)
	}
}

// awaitResumed waits while the connection is paused. It reports whether HTTP requests still
// carry its messages.
func (c *Conn) awaitResumed(ctx context.Context) bool {
	for {
		c.mu.Lock()
		if c.phase != open || c.transport != nil || !c.paused {
			defer c.mu.Unlock()
			return c.phase == open && c.transport == nil
		}
		if c.polling.resumed == nil {
			c.polling.resumed = make(chan struct{})
		}
		resumed := c.polling.resumed
		c.mu.Unlock()
		select {
		case <-resumed:
		case <-ctx.Done():
			c.cut(TransportError)
			return false
		}
	}
}

// resumeLocked lets a waiting POST request go on.
func (c *Conn) resumeLocked() {
	if c.polling != nil && c.polling.resumed != nil {
		close(c.polling.resumed)
		c.polling.resumed = nil
	}
}

// releaseLocked releases a closed connection without a transport. With a transport, its
// reader does this.
func (c *Conn) releaseLocked() {
	if c.isPollingLocked() && !c.polling.released {
		c.polling.released = true
		go c.release()
	}
}

var compressors = sync.Pool{New: func() any {
	compressor, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return compressor
}}

// writePayload writes the answer to a GET request. r may be nil.
func writePayload(w http.ResponseWriter, r *http.Request, payload []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	if len(payload) >= compressFrom && r != nil && acceptsGzip(r) {
		h.Add("Vary", "Accept-Encoding")
		h.Set("Content-Encoding", "gzip")
		var compressed bytes.Buffer
		compressor, _ := compressors.Get().(*gzip.Writer)
		defer compressors.Put(compressor)
		compressor.Reset(&compressed)
		_, _ = compressor.Write(payload) // writing to a buffer does not fail
		_ = compressor.Close()
		payload = compressed.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	if _, err := w.Write(payload); err != nil {
		return err
	}
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// acceptsGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, quality, _ := strings.Cut(coding, ";")
			refused := strings.HasPrefix(strings.ReplaceAll(quality, " ", ""), "q=0") &&
				strings.Trim(strings.ReplaceAll(quality, " ", ""), "q=0.") == ""
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && !refused {
				return true
			}
		}
	}
	return false
}
