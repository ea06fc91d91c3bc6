package engine

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

func TestPolling(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	c.post("4hello")
	c.post("4one\x1e4two €\x1e3\x1e4three")
	for _, want := range []string{"hello", "one", "two €", "three"} {
		if got := receive(t, c.peer.messages); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	c.peer.conn.Send(message("a"))
	c.peer.conn.SendAll([]*Frame{message("b"), message("€")})
	c.want("4a\x1e4b\x1e4€")
	got := c.pending(t.Context())
	c.peer.conn.Send(message("later"))
	a := receive(t, got)
	if a.body != "4later" || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a pending request got %+v", a)
	}
	got = c.pending(t.Context())
	c.peer.conn.Close(Drained)
	if a := receive(t, got); a.body != "1" {
		t.Errorf("a pending request got %+v at the end", a)
	}
	c.gone(Drained)
}

// TestBinaryMessages checks that binary messages are base64 with polling, and follow their frame
// on a WebSocket.
func TestBinaryMessages(t *testing.T) {
	t.Parallel()
	for name, serve := range listeners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, startOn(t, serve, Config{}))
			large := bytes.Repeat([]byte{7}, 300)
			frame := message("51-").WithBinary([][]byte{{1, 2}, large})
			c.peer.conn.Send(frame)
			c.peer.conn.Send(message("next"))
			c.want("451-\x1ebAQI=\x1eb" + base64.StdEncoding.EncodeToString(large) + "\x1e4next")
			c.post("4text\x1ebAQI=")
			ws := c.probe()
			write(t, ws, "2probe")
			read(t, ws)
			write(t, ws, "5")
			if err := ws.WriteMessage(websocket.BinaryMessage, []byte{3}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"text", "\x01\x02", "\x03"} {
				if got := receive(t, c.peer.messages); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
			c.peer.conn.Send(frame)
			for _, want := range []string{"451-", "\x01\x02", string(large)} {
				if got := read(t, ws); got != want {
					t.Errorf("read %q, want %q", got, want)
				}
			}
		})
	}
}

func TestWritable(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	if c.peer.conn.Writable() {
		t.Error("no request is pending")
	}
	pending := c.pending(t.Context())
	if !c.peer.conn.Writable() {
		t.Error("a request is pending")
	}
	c.peer.conn.Send(message("x"))
	receive(t, pending)
}

func TestALargePayloadIsCompressed(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	long := strings.Repeat("x", 2000)
	for accept, compressed := range map[string]bool{"": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0, deflate": false} {
		c.peer.conn.Send(message(long))
		got := c.do(t.Context(), http.MethodGet, "", http.Header{"Accept-Encoding": {accept}})
		body := got.body
		if (got.header.Get("Content-Encoding") == "gzip") != compressed {
			t.Errorf("%q: encoding %q", accept, got.header.Get("Content-Encoding"))
		}
		if compressed {
			r, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			body = string(data)
		}
		if body != "4"+long {
			t.Errorf("%q: %d bytes", accept, len(body))
		}
	}
	c.peer.conn.Send(message("short"))
	if got := c.do(t.Context(), http.MethodGet, "", http.Header{"Accept-Encoding": {"gzip"}}); got.body != "4short" {
		t.Errorf("a short payload: %+v", got)
	}
}

func flood(c *Conn) {
	for range 100 {
		c.Send(message(strings.Repeat("x", 1<<10)))
	}
}

func TestHeartbeatByPolling(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{PingInterval: 20 * time.Millisecond, PingTimeout: patience}))
	for range 3 {
		c.want("2")
		c.post("3")
	}
	c.peer.conn.Close(Drained)
	last := c.get().body
	for last == "2" { // pings sent before the close
		last = c.get().body
	}
	if last != "6\x1e1" && last != "2\x1e6\x1e1" {
		t.Errorf("the last answer is %q", last)
	}
}

func TestRequestsThatOverlapEndTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := openSession(t, s)
	first := c.pending(t.Context())
	if got := c.get(); got.status != http.StatusBadRequest || got.body != "" {
		t.Errorf("the second request got %+v", got)
	}
	if got := receive(t, first); got.status != http.StatusOK || got.body != "1" {
		t.Errorf("the first request got %+v", got)
	}
	c.gone(TransportError)

	c = openSession(t, s)
	body, writer := io.Pipe()
	posted := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.http.URL+"/socket.io/?EIO=4&transport=polling&sid="+c.sid, body)
		if err == nil {
			var resp *http.Response
			if resp, err = s.http.Client().Do(req); err == nil {
				err = resp.Body.Close()
			}
		}
		posted <- err
	}()
	waittest.Until(t, "the request is being handled", func() bool {
		c.peer.conn.mu.Lock()
		defer c.peer.conn.mu.Unlock()
		return c.peer.conn.polling.posting
	})
	if got := c.do(t.Context(), http.MethodPost, "4x", nil); got.status != http.StatusBadRequest {
		t.Errorf("the second request got %+v", got)
	}
	_ = writer.Close()
	<-posted
	c.gone(TransportError)
}

func TestBadPosts(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxFrame: 100})
	c := openSession(t, s)
	if got := c.do(t.Context(), http.MethodPost, "4"+strings.Repeat("x", 100), nil); got.status != http.StatusRequestEntityTooLarge || got.body != "" {
		t.Errorf("too large: %+v", got)
	}
	if got := c.do(t.Context(), http.MethodPut, "4x", nil); got.status != http.StatusInternalServerError || got.body != "" {
		t.Errorf("PUT: %+v", got)
	}
	c.post("4" + strings.Repeat("x", 99)) // the session continues
	if got := receive(t, c.peer.messages); len(got) != 99 {
		t.Errorf("received %d bytes", len(got))
	}
	if got := c.do(t.Context(), http.MethodPost, "4x", http.Header{"Content-Type": {"application/octet-stream"}}); got.status != http.StatusBadRequest {
		t.Errorf("binary: %+v", got)
	}
	c.gone(TransportError)
}

// TestAPausedSessionHoldsThePost checks that a receiver that pauses its connection gets no
// message until it resumes, and that the client's POST request waits meanwhile.
func TestAPausedSessionHoldsThePost(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	c.peer.conn.Pause(true)
	posted := make(chan answer, 1)
	go func() { posted <- c.do(t.Context(), http.MethodPost, "4one\x1e4two", nil) }()
	waittest.Until(t, "the request waits", func() bool {
		c.peer.conn.mu.Lock()
		defer c.peer.conn.mu.Unlock()
		return c.peer.conn.polling.resumed != nil
	})
	select {
	case <-posted:
		t.Error("answered while paused")
	case got := <-c.peer.messages:
		t.Errorf("received %q while paused", got)
	default:
	}
	c.peer.conn.Pause(false)
	if got := receive(t, posted); got.body != "ok" {
		t.Errorf("answered %+v", got)
	}
	for _, want := range []string{"one", "two"} {
		if got := receive(t, c.peer.messages); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	c.peer.conn.Pause(true)
	go func() { posted <- c.do(t.Context(), http.MethodPost, "4three", nil) }()
	waittest.Until(t, "the request waits", func() bool {
		c.peer.conn.mu.Lock()
		defer c.peer.conn.mu.Unlock()
		return c.peer.conn.polling.resumed != nil
	})
	c.peer.conn.Close(Drained)
	receive(t, posted)
	c.want("6\x1e1")
	c.gone(Drained)
}

// The HTTP server's deadlines are shorter than a heartbeat, but long enough to open the session
// on a busy machine.
func TestAPollOutlastsTheServersDeadlines(t *testing.T) {
	t.Parallel()
	s := startOn(t, func(h http.Handler) *httptest.Server {
		server := httptest.NewUnstartedServer(h)
		server.Config.ReadTimeout, server.Config.WriteTimeout = 5*time.Second, 5*time.Second
		server.Start()
		return server
	}, Config{PingInterval: 6 * time.Second})
	openSession(t, s).want("2")
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Origins: origin(t, "https://app.example.com")})
	c := &pollingClient{t: t, s: s}
	ask := http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"x-one, x-two"}}
	got := c.do(t.Context(), http.MethodOptions, "", ask)
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		got.header.Get("Access-Control-Allow-Headers") != "x-one, x-two" || got.header.Get("Access-Control-Allow-Credentials") != "true" ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("allowed: %+v", got)
	}
	ask.Set("Origin", "https://evil.example")
	if got := c.do(t.Context(), http.MethodOptions, "", ask); got.header.Get("Access-Control-Allow-Origin") != "" || got.status != http.StatusForbidden {
		t.Errorf("refused: %+v", got)
	}
	c.sid = "unknown" // the page can also read errors
	if got := c.do(t.Context(), http.MethodGet, "", http.Header{"Origin": {"https://app.example.com"}}); got.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("an error: %+v", got)
	}
}

func TestTransportsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.cfg.Polling = false
	c := &pollingClient{t: t, s: s}
	if got := c.get(); got.body != `{"code":0,"message":"Transport unknown"}` {
		t.Errorf("polling: %+v", got)
	}
	s = start(t, Config{})
	s.cfg.WebSocket = false
	c.s = s
	if got := c.get(); !strings.Contains(got.body, `"upgrades":[]`) {
		t.Errorf("polling alone: %+v", got)
	}
	if resp := refused(t, s.url(EngineIO), nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("WebSocket: %d", resp.StatusCode)
	}
}

func TestARefusedOriginIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	e := New(Config{MaxFrame: 1 << 10, Polling: true}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		r := httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", "https://evil.example")
		w := httptest.NewRecorder()
		e.ServeEngineIO(w, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "http.origins") {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
	}
	if n := strings.Count(log.String(), "https://evil.example"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
