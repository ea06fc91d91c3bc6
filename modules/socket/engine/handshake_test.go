package engine

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/origins"
)

func TestOpenPacket(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxFrame: 1000})
	shape := regexp.MustCompile(`^0\{"sid":"([-_0-9A-Za-z]{20})","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000\}$`)
	seen := make(map[string]bool)
	for range 3 {
		ws, resp, err := websocket.DefaultDialer.Dial(s.url(EngineIO), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		packet := read(t, ws)
		_ = ws.Close()
		parts := shape.FindStringSubmatch(packet)
		if parts == nil {
			t.Fatalf("open packet %q", packet)
		}
		receive(t, s.receivers)
		if raw, err := base64.URLEncoding.DecodeString(parts[1]); err != nil || len(raw) != 15 {
			t.Errorf("the id %q is not of 15 bytes: %v", parts[1], err)
		}
		seen[parts[1]] = true
	}
	if len(seen) != 3 {
		t.Error("an id was given twice")
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain)+"?color=red", http.Header{
		"Authorization":          {"Bearer x"},
		"Sec-Websocket-Protocol": {"moim, bearer.x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer func() { _ = ws.Close() }()
	if got := ws.Subprotocol(); got != "moim" {
		t.Errorf("the server chose %q", got)
	}
	r := receive(t, s.receivers)
	h := r.handshake
	if h.Protocol != Plain || r.conn.protocol != Plain || h.RemoteAddr != ws.LocalAddr().String() ||
		h.Query.Get("color") != "red" || h.Header.Get("Authorization") != "Bearer x" {
		t.Errorf("handshake %+v", h)
	}
	// The handler returns while the connection is open. The context of its request ends, but that
	// of the handshake does not.
	if err := h.Context.Err(); err != nil {
		t.Error(err)
	}
	write(t, ws, "hello €")
	if got := receive(t, r.messages); got != "hello €" {
		t.Errorf("received %q", got)
	}
}

func TestEngineIOErrors(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Origins: origin(t, "https://app.example.com")})
	const transport, session, method, request, forbidden, version = `{"code":0,"message":"Transport unknown"}`,
		`{"code":1,"message":"Session ID unknown"}`, `{"code":2,"message":"Bad handshake method"}`,
		`{"code":3,"message":"Bad request"}`, originRefused, `Unsupported protocol version`
	for _, test := range []struct {
		method, query, origin string
		upgrade               bool
		status                int
		body                  string
	}{
		{"GET", "EIO=4", "", false, 400, transport},
		{"GET", "", "", false, 400, transport},
		{"GET", "EIO=4&transport=webtransport", "", false, 400, transport},
		{"POST", "EIO=4&transport=polling&sid=x", "", false, 400, session},
		{"GET", "EIO=4&transport=polling&sid=x", "", false, 400, session},
		{"POST", "EIO=4&transport=polling", "", false, 400, method},
		{"GET", "EIO=3&transport=polling", "", false, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"GET", "EIO=4&transport=polling", "https://evil.example", false, 403, `{"code":4,"message":"` + originRefused + `"}`},
		{"GET", "EIO=4&transport=websocket&sid=x", "", false, 400, session},
		{"POST", "EIO=4&transport=websocket", "", false, 400, method},
		{"OPTIONS", "EIO=4&transport=websocket", "", false, 400, method},
		{"GET", "EIO=4&transport=websocket", "", false, 400, request},
		{"GET", "EIO=4&transport=websocket&sid=x", "", true, 400, "Session ID unknown"},
		{"GET", "EIO=4&transport=websocket", "https://evil.example", true, 403, forbidden},
		{"GET", "EIO=3&transport=websocket", "https://evil.example", true, 403, forbidden},
		{"GET", "EIO=3&transport=websocket", "", true, 400, version},
		{"GET", "transport=websocket", "https://app.example.com", true, 400, version},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, s.http.URL+"/socket.io/?"+test.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		kind := "application/json"
		if test.upgrade {
			kind = "text/html"
			req.Header = http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
				"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
			}
		}
		if test.origin != "" {
			req.Header.Set("Origin", test.origin)
		}
		resp, err := s.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || string(body) != test.body || resp.Header.Get("Content-Type") != kind {
			t.Errorf("%s %s: %d %s %s %v", test.method, test.query, resp.StatusCode, resp.Header.Get("Content-Type"), body, err)
		}
	}
	if n := s.Stats().Accepted; n != 0 {
		t.Errorf("%d connections were accepted", n)
	}
}

func TestPlainNeedsAWebSocket(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	resp, err := s.http.Client().Get(s.http.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" {
		t.Errorf("answered by %d %v", resp.StatusCode, resp.Header)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	for _, test := range []struct {
		allowed []string
		origin  string // HOST stands for the server's host
		ok      bool
	}{
		{nil, "", true},
		{nil, "http://HOST", true},
		{nil, "https://HOST", true},
		{nil, "http://evil.example", false},
		{nil, "null", false},
		{nil, "HOST", false},
		{nil, "file://HOST", false},
		{nil, "http://HOST.evil.example", false},
		{nil, "http://HOST/", false},
		{nil, "http://HOST@evil.example", false},
		{nil, "http://evil.example@HOST", false},
		{[]string{app}, "", true},
		{[]string{app}, app, true},
		{[]string{app + "/"}, app, true},
		{[]string{"https://other.example", app}, "https://APP.example.com", true},
		{[]string{app}, "http://app.example.com", false},
		{[]string{app}, app + ":444", false},
		{[]string{app}, app + ".evil.example", false},
		{[]string{app}, "https://evil.example/" + app, false},
		{[]string{app}, "https://evilapp.example.com", false},
		{[]string{app}, "null", false},
		{[]string{app}, "http://HOST", false},
		{[]string{app, "http://localhost:3000"}, "http://localhost:3000", true},
		{[]string{app, "http://localhost:3000"}, "http://localhost:3001", false},
		{[]string{"*"}, "https://any.example", true},
		{[]string{"*"}, "null", true},
	} {
		for name, p := range endpoints {
			t.Run(strings.Join(test.allowed, " ")+" "+test.origin+" "+name, func(t *testing.T) {
				t.Parallel()
				s := start(t, Config{Origins: origin(t, test.allowed...)})
				header := http.Header{}
				if test.origin != "" {
					header.Set("Origin", strings.ReplaceAll(test.origin, "HOST", s.addr()))
				}
				if !test.ok {
					if resp := refused(t, s.url(p), header); resp.StatusCode != http.StatusForbidden {
						t.Errorf("refused with %d", resp.StatusCode)
					}
					return
				}
				ws, resp, err := websocket.DefaultDialer.Dial(s.url(p), header)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				_ = ws.Close()
			})
		}
	}
}

func TestTwoOriginsAreNone(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	own := "http://" + s.addr()
	if resp := refused(t, s.url(Plain), http.Header{"Origin": {own, own}}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("refused with %d", resp.StatusCode)
	}
}

// origin returns a list of origins.
func origin(t *testing.T, entries ...string) origins.List {
	t.Helper()
	list, err := origins.Parse(entries)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type teapot struct{}

func (teapot) Error() string { return "teapot" }

func (teapot) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
	}{
		{teapot{}, http.StatusTeapot},
		{errors.New("no"), http.StatusForbidden},
	} {
		s := startWith(t, func(*Conn, Handshake) (Receiver, error) { return nil, test.err })
		for _, p := range endpoints {
			if resp := refused(t, s.url(p), nil); resp.StatusCode != test.status {
				t.Errorf("%v is answered by %d", test.err, resp.StatusCode)
			}
		}
		if s.Len() != 0 {
			t.Error("the connection is kept")
		}
	}
}

// TestAcceptPanics checks that a drain does not wait for a connection whose accept
// function panicked.
func TestAcceptPanics(t *testing.T) {
	t.Parallel()
	e := newEngine(Config{}, func(*Conn, Handshake) (Receiver, error) { panic(teapot{}) })
	func() {
		defer func() {
			if recover() != (teapot{}) {
				t.Error("the panic did not reach the HTTP server")
			}
		}()
		e.ServePlain(httptest.NewRecorder(), handshake(t))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Drain(ctx); err != nil || e.Len() != 0 {
		t.Errorf("%d connections are kept; %v", e.Len(), err)
	}
}

// TestNoHijack checks that a connection that cannot be hijacked is released, and that the client
// gets the reason. gin's writer panics in that case.
func TestNoHijack(t *testing.T) {
	t.Parallel()
	for name, panics := range map[string]bool{"an error": false, "a panic": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			answer := httptest.NewRecorder()
			var w http.ResponseWriter = answer
			if panics {
				w = brittle{answer}
			}
			s.ServePlain(w, handshake(t))
			receive(t, s.receivers).wantClosed(t, TransportError)
			if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), "http.TimeoutHandler") {
				t.Errorf("answered by %d: %s", answer.Code, answer.Body)
			}
			if s.Len() != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// brittle panics if it cannot be hijacked, as gin's writer does.
type brittle struct{ http.ResponseWriter }

func (brittle) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("not a Hijacker") }

// handshake returns a valid handshake.
func handshake(tb testing.TB) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/ws", http.NoBody)
	for _, line := range validHandshake() {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// TestSentWhileAccepted sends and closes before the connection is upgraded.
func TestSentWhileAccepted(t *testing.T) {
	t.Parallel()
	for name, p := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{messages: make(chan string), closed: make(chan Reason, 1)}
			s := startWith(t, func(c *Conn, _ Handshake) (Receiver, error) {
				c.Send(p.Frame([]byte("first")))
				c.Close(Refused)
				return r, nil
			})
			ws, resp, err := websocket.DefaultDialer.Dial(s.url(p), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			messages, code := readToEnd(t, ws)
			want, wantCode := []string{"first"}, websocket.ClosePolicyViolation
			if p == EngineIO {
				want, wantCode = []string{"4first"}, websocket.CloseNoStatusReceived
				messages = messages[1:] // skip the open packet
			}
			if diff := cmp.Diff(want, messages); diff != "" || code != wantCode {
				t.Errorf("code %d, messages %s", code, diff)
			}
			r.wantClosed(t, Refused)
		})
	}
}

func TestContextCarriesValues(t *testing.T) {
	t.Parallel()
	type key struct{}
	s := start(t, Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		s.ServePlain(w, r.WithContext(context.WithValue(r.Context(), key{}, "alice")))
	})
	s.http.Config.Handler = mux
	_, r := s.dial(t, Plain)
	if got := r.handshake.Context.Value(key{}); got != "alice" {
		t.Errorf("got %v", got)
	}
}
