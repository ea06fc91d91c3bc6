package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenPacket(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	ws := s.dial(t, EngineIO)
	var open map[string]any
	text := read(t, ws)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "0")), &open); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if len(open) != 5 || len(open["sid"].(string)) != 20 || open["pingInterval"] != 25000.0 ||
		open["pingTimeout"] != 20000.0 || open["maxPayload"] != 65536.0 || len(open["upgrades"].([]any)) != 0 {
		t.Errorf("open packet %q", text)
	}
}

func TestMessagesBothWays(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{EngineIO, Plain} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			ws := s.dial(t, p)
			prefix := ""
			if p == EngineIO {
				prefix = "4"
				read(t, ws)
			}
			write(t, ws, prefix+"hello €")
			r := s.receiver(t)
			if got := <-r.messages; got != "hello €" {
				t.Errorf("received %q", got)
			}
			for i := range 100 {
				r.conn.Send(p.Frame(fmt.Appendf(nil, "%d", i)))
			}
			big := strings.Repeat("x", 70_000)
			r.conn.Send(p.Frame([]byte(big[:200])))
			r.conn.Send(p.Frame([]byte(big)))
			for i := range 100 {
				if got := read(t, ws); got != fmt.Sprintf("%s%d", prefix, i) {
					t.Fatalf("message %d is %q", i, got)
				}
			}
			if got := read(t, ws); got != prefix+big[:200] {
				t.Errorf("a message of %d bytes has %d", 200, len(got))
			}
			if got := read(t, ws); got != prefix+big {
				t.Errorf("a message of %d bytes has %d", len(big), len(got))
			}
		})
	}
}

func TestSubprotocol(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer.x"}}
	ws, resp, err := dialer.Dial(s.url(Plain), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if got := resp.Header.Get("Sec-Websocket-Protocol"); got != "moim" {
		t.Errorf("the server chose %q", got)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	cfg := Config{PingInterval: 30 * time.Millisecond, PingTimeout: 5 * time.Second}
	t.Run("Engine.IO", func(t *testing.T) {
		t.Parallel()
		ws := start(t, cfg).dial(t, EngineIO)
		read(t, ws)
		for range 3 {
			if got := read(t, ws); got != "2" {
				t.Fatalf("got %q instead of a heartbeat", got)
			}
			write(t, ws, "3")
		}
	})
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		ws := start(t, cfg).dial(t, Plain)
		pings := make(chan struct{}, 3)
		pong := ws.PingHandler()
		ws.SetPingHandler(func(data string) error {
			select {
			case pings <- struct{}{}:
			default:
			}
			return pong(data)
		})
		go func() { _, _, _ = ws.ReadMessage() }()
		for range 3 {
			<-pings
		}
	})
}

func TestSilentClientIsClosed(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{EngineIO, Plain} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{PingInterval: 20 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
			s.dial(t, p) // reads nothing, so answers nothing
			if got := <-s.receiver(t).closed; got != PingTimeout {
				t.Errorf("closed for %q", got)
			}
		})
	}
}

func TestBadInputCloses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		protocol Protocol
		kind     int
		data     string
		reason   Reason
		code     int
	}{
		{"unknown packet", EngineIO, websocket.TextMessage, "9", ParseError, websocket.CloseNoStatusReceived},
		{"empty message", EngineIO, websocket.TextMessage, "", ParseError, websocket.CloseNoStatusReceived},
		{"heartbeat from the client", EngineIO, websocket.TextMessage, "2", TransportError, websocket.CloseNoStatusReceived},
		{"close packet", EngineIO, websocket.TextMessage, "1", TransportClose, websocket.CloseNoStatusReceived},
		{"binary", EngineIO, websocket.BinaryMessage, "x", ParseError, websocket.CloseNoStatusReceived},
		{"binary", Plain, websocket.BinaryMessage, "x", NotText, websocket.CloseUnsupportedData},
		{"not UTF-8", Plain, websocket.TextMessage, "\xff", NotUTF8, websocket.CloseInvalidFramePayloadData},
		{"not UTF-8", EngineIO, websocket.TextMessage, "4\xff", NotUTF8, websocket.CloseInvalidFramePayloadData},
		{"too large", Plain, websocket.TextMessage, strings.Repeat("x", 2000), TooLarge, websocket.CloseMessageTooBig},
		{"too large", EngineIO, websocket.TextMessage, strings.Repeat("4", 200_000), TooLarge, websocket.CloseMessageTooBig},
	} {
		t.Run(fmt.Sprintf("%s %d", tc.name, tc.protocol), func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{MaxFrame: 1000})
			ws := s.dial(t, tc.protocol)
			if err := ws.WriteMessage(tc.kind, []byte(tc.data)); err != nil {
				t.Fatal(err)
			}
			if got := closeCode(t, ws); got != tc.code {
				t.Errorf("close code %d, want %d", got, tc.code)
			}
			if got := <-s.receiver(t).closed; got != tc.reason {
				t.Errorf("closed for %q, want %q", got, tc.reason)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for _, tc := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "EIO=4", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "EIO=4&transport=polling", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "EIO=4&transport=websocket&sid=x", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST", "EIO=4&transport=websocket", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"GET", "EIO=4&transport=websocket", 400, `{"code":3,"message":"Bad request"}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, s.server.URL+"/socket.io/?"+tc.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tc.status || strings.TrimSpace(string(body)) != tc.body {
			t.Errorf("%s %s: %d %s", tc.method, tc.query, resp.StatusCode, body)
		}
	}
	_, resp, err := websocket.DefaultDialer.Dial(strings.Replace(s.url(EngineIO), "EIO=4", "EIO=3", 1), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("EIO=3: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		allowed []string
		origin  string
		ok      bool
	}{
		{nil, "", true},
		{nil, "http://HOST", true},
		{nil, "http://evil.example", false},
		{nil, "null", false},
		{nil, "http://HOST.evil.example", false},
		{[]string{"https://app.example.com"}, "https://app.example.com", true},
		{[]string{"https://app.example.com"}, "https://APP.example.com", true},
		{[]string{"https://app.example.com"}, "http://app.example.com", false},
		{[]string{"https://app.example.com"}, "https://app.example.com.evil.io", false},
		{[]string{"https://app.example.com"}, "https://app.example.com:444", false},
		{[]string{"https://app.example.com"}, "http://HOST", false},
		{[]string{"*"}, "https://any.example", true},
	} {
		for _, p := range []Protocol{EngineIO, Plain} {
			s := start(t, Config{Origins: tc.allowed})
			header := http.Header{}
			if tc.origin != "" {
				header.Set("Origin", strings.ReplaceAll(tc.origin, "HOST", s.server.Listener.Addr().String()))
			}
			ws, resp, err := websocket.DefaultDialer.Dial(s.url(p), header)
			if (err == nil) != tc.ok {
				t.Errorf("origin %q with %q allowed: %v", tc.origin, tc.allowed, err)
			}
			if err == nil {
				_ = ws.Close()
			} else if resp == nil || resp.StatusCode != http.StatusForbidden {
				t.Errorf("origin %q: not refused with 403", tc.origin)
			}
		}
	}
}

// TestAcceptRefuses answers with the acceptor's own response.
func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	e := New(Config{}, func(*Conn, Handshake) (Receiver, error) { return nil, teapot{} }, slog.New(slog.DiscardHandler))
	server := httptest.NewServer(http.HandlerFunc(e.ServePlain))
	defer server.Close()
	_, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err == nil || resp.StatusCode != http.StatusTeapot {
		t.Errorf("got %v", err)
	}
	if e.Len() != 0 {
		t.Error("the connection is kept")
	}
}

type teapot struct{}

func (teapot) Error() string { return "teapot" }
func (teapot) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusTeapot)
}

// TestOrderUnderConcurrency has many senders; each one's frames arrive in its
// order, and in fewer writes than frames.
func TestOrderUnderConcurrency(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 500
	s := start(t, Config{})
	ws := s.dial(t, Plain)
	r := s.receiver(t)
	for i := range senders {
		go func() {
			for n := range each {
				r.conn.Send(Plain.Frame(fmt.Appendf(nil, "%d %d", i, n)))
			}
		}()
	}
	var next [senders]int
	for range senders * each {
		var i, n int
		if _, err := fmt.Sscan(read(t, ws), &i, &n); err != nil {
			t.Fatal(err)
		}
		if n != next[i] {
			t.Fatalf("sender %d: frame %d instead of %d", i, n, next[i])
		}
		next[i]++
	}
	for s.engine.Stats().Frames < senders*each { // counted after the write
	}
	if st := s.engine.Stats(); st.Writes*2 > st.Frames {
		t.Errorf("%d frames took %d writes", st.Frames, st.Writes)
	}
}

// TestSlowConsumerIsCut keeps sending to a client that reads nothing while
// another one reads.
func TestSlowConsumerIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxBacklog: 256 << 10})
	s.dial(t, Plain)
	slow := s.receiver(t)
	reader := s.dial(t, Plain)
	fast := s.receiver(t)
	frame := Plain.Frame([]byte(strings.Repeat("x", 8<<10)))
	for {
		slow.conn.Send(frame)
		fast.conn.Send(frame)
		read(t, reader)
		select {
		case reason := <-slow.closed:
			if reason != SlowConsumer {
				t.Errorf("closed for %q", reason)
			}
			if n := s.engine.Stats().SlowConsumers; n != 1 {
				t.Errorf("%d slow consumers are counted", n)
			}
			return
		default:
		}
	}
}

func TestCloseFlushes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		protocol Protocol
		reason   Reason
		code     int
	}{
		{Plain, Expired, 4003},
		{Plain, Disconnected, 4004},
		{EngineIO, Expired, websocket.CloseNoStatusReceived},
	} {
		s := start(t, Config{})
		ws := s.dial(t, tc.protocol)
		r := s.receiver(t)
		for range 50 {
			r.conn.Send(tc.protocol.Frame([]byte("last words")))
		}
		r.conn.Close(tc.reason)
		r.conn.Send(tc.protocol.Frame([]byte("too late")))
		words := 0
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				if !websocket.IsCloseError(err, tc.code) {
					t.Errorf("%v, want code %d", err, tc.code)
				}
				break
			}
			if strings.HasSuffix(string(data), "last words") {
				words++
			} else if strings.HasSuffix(string(data), "too late") {
				t.Error("a frame followed the goodbye")
			}
		}
		if words != 50 {
			t.Errorf("%d of 50 frames arrived", words)
		}
		if got := <-r.closed; got != tc.reason {
			t.Errorf("closed for %q", got)
		}
	}
}

func TestClientCloses(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	ws := s.dial(t, Plain)
	r := s.receiver(t)
	if err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := closeCode(t, ws); got != websocket.CloseNormalClosure {
		t.Errorf("answered with %d", got)
	}
	if got := <-r.closed; got != TransportClose {
		t.Errorf("closed for %q", got)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	conns := make([]*websocket.Conn, 20)
	for i := range conns {
		conns[i] = s.dial(t, Plain)
		s.receiver(t)
	}
	var wg sync.WaitGroup
	for _, ws := range conns {
		wg.Go(func() {
			if got := closeCode(t, ws); got != 4001 {
				t.Errorf("close code %d", got)
			}
			_ = ws.Close()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.engine.Drain(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if n := s.engine.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	_, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a connection while draining: %v", err)
	}
	if err := errors.Join(s.engine.Stop(ctx), s.engine.Stop(ctx)); err != nil {
		t.Error(err)
	}
}

// TestDrainCutsTheDeaf ends in time although a client does not answer.
func TestDrainCutsTheDeaf(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.dial(t, Plain)
	r := s.receiver(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.engine.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	if got := <-r.closed; got != Drained {
		t.Errorf("closed for %q", got)
	}
}

// BenchmarkFanOut writes one frame to many connections whose peers read and
// throw away.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := start(b, Config{MaxBacklog: 64 << 20})
			receivers := make([]*recorder, n)
			for i := range n {
				ws := s.dial(b, Plain)
				receivers[i] = s.receiver(b)
				go func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }()
			}
			frame := Plain.Frame([]byte(strings.Repeat("x", 150)))
			b.ReportAllocs()
			start := s.engine.Stats().Frames
			b.ResetTimer()
			for range b.N {
				for _, r := range receivers {
					r.conn.Send(frame)
				}
			}
			for s.engine.Stats().Frames-start < int64(b.N*n) {
				time.Sleep(100 * time.Microsecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}

// testServer is an engine behind a real listener.
type testServer struct {
	engine    *Engine
	server    *httptest.Server
	receivers chan *recorder
}

type recorder struct {
	conn     *Conn
	messages chan string
	closed   chan Reason
}

func (r *recorder) Message(data []byte) { r.messages <- string(data) }
func (r *recorder) Closed(reason Reason) {
	r.closed <- reason
	close(r.closed) // a second call would panic
}

func start(tb testing.TB, cfg Config) *testServer {
	tb.Helper()
	s := &testServer{receivers: make(chan *recorder, 1)}
	s.engine = New(cfg, func(c *Conn, h Handshake) (Receiver, error) {
		if h.Protocol != c.Protocol() || h.RemoteAddr == "" {
			return nil, errors.New("incomplete handshake")
		}
		r := &recorder{conn: c, messages: make(chan string, 100), closed: make(chan Reason, 1)}
		s.receivers <- r
		return r, nil
	}, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", s.engine.ServeEngineIO)
	mux.HandleFunc("/ws", s.engine.ServePlain)
	s.server = httptest.NewServer(mux)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.engine.Stop(ctx)
		s.server.Close()
		http.DefaultClient.CloseIdleConnections()
		for s.engine.Len() > 0 {
			time.Sleep(time.Millisecond)
		}
	})
	return s
}

func (s *testServer) url(p Protocol) string {
	if p == EngineIO {
		return "ws" + strings.TrimPrefix(s.server.URL, "http") + "/socket.io/?EIO=4&transport=websocket"
	}
	return "ws" + strings.TrimPrefix(s.server.URL, "http") + "/ws"
}

func (s *testServer) dial(tb testing.TB, p Protocol) *websocket.Conn {
	tb.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(s.url(p), nil)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	_ = resp.Body.Close()
	if tcp, ok := ws.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(32 << 10)
	}
	tb.Cleanup(func() { _ = ws.Close() })
	return ws
}

func (s *testServer) receiver(tb testing.TB) *recorder {
	tb.Helper()
	select {
	case r := <-s.receivers:
		return r
	case <-time.After(5 * time.Second):
		tb.Fatal("no connection was accepted")
		return nil
	}
}

func read(tb testing.TB, ws *websocket.Conn) string {
	tb.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, data, err := ws.ReadMessage()
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	return string(data)
}

func write(tb testing.TB, ws *websocket.Conn, text string) {
	tb.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		tb.Fatalf("write: %v", err)
	}
}

// closeCode reads to the end and returns the code of the goodbye.
func closeCode(tb testing.TB, ws *websocket.Conn) int {
	tb.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if closed := new(websocket.CloseError); errors.As(err, &closed) {
				return closed.Code
			}
			tb.Errorf("ended without a goodbye: %v", err)
			return 0
		}
	}
}
