package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// answer is what a polling request got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// pollingClient is a client that uses HTTP long polling.
type pollingClient struct {
	t    *testing.T
	s    *testServer
	sid  string
	peer *recorder
}

// openSession opens a polling session.
func openSession(t *testing.T, s *testServer) *pollingClient {
	t.Helper()
	c := &pollingClient{t: t, s: s}
	got := c.do(t.Context(), http.MethodGet, "", nil)
	var open struct {
		SID          string
		Upgrades     []string
		PingInterval int
	}
	body, found := strings.CutPrefix(got.body, "0")
	if err := json.Unmarshal([]byte(body), &open); err != nil || !found || got.status != http.StatusOK || len(open.SID) != 20 {
		t.Fatalf("opened with %+v, %v", got, err)
	}
	if fmt.Sprint(open.Upgrades) != "[websocket]" {
		t.Errorf("upgrades: %v", open.Upgrades)
	}
	c.sid, c.peer = open.SID, receive(t, s.receivers)
	return c
}

func (c *pollingClient) do(ctx context.Context, method, body string, header http.Header) answer {
	url := c.s.http.URL + "/socket.io/?EIO=4&transport=polling"
	if c.sid != "" {
		url += "&sid=" + c.sid
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data), err}
}

// get polls once.
func (c *pollingClient) get() answer { return c.do(c.t.Context(), http.MethodGet, "", nil) }

// want polls once and fails the test unless the payload is as wanted.
func (c *pollingClient) want(payload string) {
	c.t.Helper()
	if got := c.get(); got.status != http.StatusOK || got.body != payload {
		c.t.Fatalf("polled %+v, want %q", got, payload)
	}
}

// pending begins a poll, and returns once the server has it.
func (c *pollingClient) pending(ctx context.Context) <-chan answer {
	c.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- c.do(ctx, http.MethodGet, "", nil) }()
	conn := c.peer.conn
	eventually(c.t, "the request is pending", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.polling.wake != nil
	})
	return got
}

// post sends a payload and fails the test unless it is accepted.
func (c *pollingClient) post(payload string) {
	c.t.Helper()
	if got := c.do(c.t.Context(), http.MethodPost, payload, nil); got.status != http.StatusOK || got.body != "ok" {
		c.t.Fatalf("posted %q: %+v", payload, got)
	}
}

// gone fails the test unless the session ends for a reason and is unknown then.
func (c *pollingClient) gone(reason Reason) {
	c.t.Helper()
	if got := receive(c.t, c.peer.closed); got != reason {
		c.t.Errorf("the session ended: %s, want %s", got, reason)
	}
	eventually(c.t, "the session is removed", func() bool { return c.s.lookup(c.sid) == nil })
	if got := c.get(); got.status != http.StatusBadRequest || got.body != `{"code":1,"message":"Session ID unknown"}` {
		c.t.Errorf("polling after the end: %+v", got)
	}
}

func message(payload string) *Frame { return EngineIO.Frame([]byte(payload)) }

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

// Binary messages are base64 by polling, and follow their frame over a WebSocket.
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

// A close that no request waits for is kept for the next one.
func TestTheNextPollHearsOfTheEnd(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	c.peer.conn.Send(message("last"))
	c.peer.conn.Close(Disconnected)
	c.want("4last") // a client would handle the end before a message beside it
	c.want("6\x1e1")
	c.gone(Disconnected)
}

func TestASessionThatIsNotPolledEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  Config
		act  func(*pollingClient)
		want Reason
	}{
		"it answers no ping":    {Config{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}, func(*pollingClient) {}, PingTimeout},
		"it takes no messages":  {Config{MaxBacklog: 16 << 10}, func(c *pollingClient) { flood(c.peer.conn) }, SlowConsumer},
		"it is closed":          {Config{}, func(c *pollingClient) { c.peer.conn.Close(Expired) }, Expired},
		"the client closes it":  {Config{}, func(c *pollingClient) { c.post("1") }, TransportClose},
		"the client pings":      {Config{}, func(c *pollingClient) { c.post("2") }, TransportError},
		"an unknown packet":     {Config{}, func(c *pollingClient) { c.post("4a\x1eabc\x1e4b") }, ParseError},
		"an empty packet":       {Config{}, func(c *pollingClient) { c.post("4a\x1e") }, ParseError},
		"base64 that is none":   {Config{}, func(c *pollingClient) { c.post("b!") }, ParseError},
		"text that is no UTF-8": {Config{}, func(c *pollingClient) { c.post("4\xff") }, NotUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session := openSession(t, start(t, c.cfg))
			c.act(session)
			session.gone(c.want)
		})
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
	for last == "2" { // sent before the close
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
	eventually(t, "the request is being handled", func() bool {
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

func TestAClientThatAbortsAPollHasGone(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ctx, cancel := context.WithCancel(t.Context())
	c.pending(ctx)
	cancel()
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
	c.post("4" + strings.Repeat("x", 99)) // the session goes on
	if got := receive(t, c.peer.messages); len(got) != 99 {
		t.Errorf("received %d bytes", len(got))
	}
	if got := c.do(t.Context(), http.MethodPost, "4x", http.Header{"Content-Type": {"application/octet-stream"}}); got.status != http.StatusBadRequest {
		t.Errorf("binary: %+v", got)
	}
	c.gone(TransportError)
}

// A receiver that pauses its connection is not called until it resumes it, and
// the client waits for its answer.
func TestAPausedSessionHoldsThePost(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	c.peer.conn.Pause(true)
	posted := make(chan answer, 1)
	go func() { posted <- c.do(t.Context(), http.MethodPost, "4one\x1e4two", nil) }()
	eventually(t, "the request waits", func() bool {
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
	eventually(t, "the request waits", func() bool {
		c.peer.conn.mu.Lock()
		defer c.peer.conn.mu.Unlock()
		return c.peer.conn.polling.resumed != nil
	})
	c.peer.conn.Close(Drained)
	receive(t, posted)
	c.want("6\x1e1")
	c.gone(Drained)
}

// The server's own deadlines are shorter than a heartbeat, and long enough for a busy machine to open the session.
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
	c.sid = "unknown" // errors, too, can be read by the page
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

// probe opens a WebSocket for a session.
func (c *pollingClient) probe() *websocket.Conn {
	c.t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(c.s.url(EngineIO)+"&sid="+c.sid, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	c.t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	for name, serve := range listeners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, startOn(t, serve, Config{}))
			pending := c.pending(t.Context())
			ws := c.probe()
			write(t, ws, "2probe")
			if got := read(t, ws); got != "3probe" {
				t.Fatalf("the probe is answered by %q", got)
			}
			if got := receive(t, pending); got.body != "6" {
				t.Errorf("the pending request got %+v", got)
			}
			c.peer.conn.Send(message("between"))
			write(t, ws, "5")
			write(t, ws, "4hello")
			if got := receive(t, c.peer.messages); got != "hello" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("after"))
			for _, want := range []string{"4between", "4after"} {
				if got := read(t, ws); got != want {
					t.Errorf("read %q, want %q", got, want)
				}
			}
			if got := c.get(); got.status != http.StatusBadRequest || got.body != `{"code":3,"message":"Bad request"}` {
				t.Errorf("polling after the upgrade: %+v", got)
			}
			if resp := refused(t, c.s.url(EngineIO)+"&sid="+c.sid, nil); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a second upgrade: %d", resp.StatusCode)
			}
			if n := c.s.Len(); n != 1 {
				t.Errorf("%d connections", n)
			}
			_ = ws.Close()
			if got := receive(t, c.peer.closed); got != TransportClose && got != TransportError {
				t.Errorf("ended: %s", got)
			}
			eventually(t, "the session is removed", func() bool { return c.s.lookup(c.sid) == nil && c.s.Len() == 0 })
		})
	}
}

// A client that waits for nothing sends all of an upgrade in one segment. What is
// behind the upgrade belongs to the session. The answers to the probe and to a ping
// may not be written yet when the upgrade is read.
func TestAnUpgradeInOneSegment(t *testing.T) {
	t.Parallel()
	for name, serve := range listeners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, startOn(t, serve, Config{}))
			ws := c.probe()
			frame := func(head byte, payload string) []byte {
				return append([]byte{head, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
			}
			const text, ping = 0x81, 0x89
			half := frame(text, "4three")
			raw := slices.Concat(frame(text, "2probe"), frame(ping, ""), frame(text, "5"), frame(text, "4one"), frame(text, "4two"), half[:4])
			if _, err := ws.NetConn().Write(raw); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				if got := receive(t, c.peer.messages); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
			if _, err := ws.NetConn().Write(half[4:]); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, c.peer.messages); got != "three" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("after"))
			for _, want := range []string{"3probe", "4after"} {
				if got := read(t, ws); got != want {
					t.Errorf("read %q, want %q", got, want)
				}
			}
		})
	}
}

// The client waits for a noop before it upgrades, even if it polls only then.
func TestAPollWhileUpgradingGetsANoop(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ws := c.probe()
	write(t, ws, "2probe")
	read(t, ws)
	for range 3 {
		c.want("6")
	}
	pending := c.pending(t.Context())
	write(t, ws, "5")
	if got := receive(t, pending); got.body != "6" {
		t.Errorf("a request that is pending at the upgrade got %+v", got)
	}
}

func TestAFailedUpgradeLeavesTheSession(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ws *websocket.Conn){
		"the client closes": func(ws *websocket.Conn) { _ = ws.Close() },
		"another packet":    func(ws *websocket.Conn) { _ = ws.WriteMessage(websocket.TextMessage, []byte("4x")) },
		"binary":            func(ws *websocket.Conn) { _ = ws.WriteMessage(websocket.BinaryMessage, []byte("5")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, start(t, Config{}))
			ws := c.probe()
			write(t, ws, "2probe")
			read(t, ws)
			if resp := refused(t, c.s.url(EngineIO)+"&sid="+c.sid, nil); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a second WebSocket: %d", resp.StatusCode)
			}
			fail(ws)
			eventually(t, "the WebSocket is forgotten", func() bool { return c.s.Len() == 1 })
			c.post("4still here")
			if got := receive(t, c.peer.messages); got != "still here" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("x"))
			c.want("4x")
			write(t, c.probe(), "2probe") // it may try again
		})
	}
}

func TestTheEndOfASessionEndsItsProbe(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ws := c.probe()
	write(t, ws, "2probe")
	read(t, ws)
	c.post("1")
	c.gone(TransportClose)
	if _, _, err := ws.ReadMessage(); err == nil {
		t.Error("the WebSocket goes on")
	}
	eventually(t, "both are gone", func() bool { return c.s.Len() == 0 })
}

func TestDrainEndsPollingSessions(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	polled, silent, upgrading := openSession(t, s), openSession(t, s), openSession(t, s)
	pending := polled.pending(t.Context())
	write(t, upgrading.probe(), "2probe")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, pending); got.body != "1" {
		t.Errorf("a pending request got %+v", got)
	}
	for _, c := range []*pollingClient{polled, silent, upgrading} {
		if got := receive(t, c.peer.closed); got != Drained {
			t.Errorf("ended: %s", got)
		}
	}
	refusedNow := (&pollingClient{t: t, s: s}).get()
	if refusedNow.status != http.StatusServiceUnavailable || refusedNow.header.Get("Retry-After") == "" {
		t.Errorf("a new session got %+v", refusedNow)
	}
}

// Sessions that are opened and never polled again cost nothing for long. What the heap has grown by
// does not show it: after a pause of the machine, Go keeps a goroutine for each timer that fired.
func TestAbandonedSessionsAreRemoved(t *testing.T) { //nolint:paralleltest // it measures memory
	const n = 20_000
	var collected atomic.Int64
	e := newEngine(Config{PingInterval: time.Second, PingTimeout: 100 * time.Millisecond},
		func(c *Conn, _ Handshake) (Receiver, error) {
			runtime.AddCleanup(c, func(collected *atomic.Int64) { collected.Add(1) }, &collected)
			return silent{}, nil
		})
	before := heap()
	for range n {
		w := httptest.NewRecorder()
		e.ServeEngineIO(w, httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil))
		if w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
	open := e.Len()
	t.Logf("%d sessions are open and take %d bytes each", open, (heap()-before)/max(open, 1))
	eventually(t, "all are gone", func() bool { return e.Len() == 0 && e.Stats().Connections == 0 })
	e.mu.Lock()
	left := len(e.sessions)
	e.mu.Unlock()
	if left > 0 {
		t.Errorf("%d sessions are left", left)
	}
	eventually(t, "the garbage collector takes all", func() bool {
		runtime.GC()
		return collected.Load() == n
	})
}

// heap returns the bytes that are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

type silent struct{}

func (silent) Message([]byte, bool)   {}
func (silent) Finish(context.Context) {}
func (silent) Closed(Reason)          {}

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
