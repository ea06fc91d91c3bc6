package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/auth"
)

// TestSlowClientsAreCutOff checks that a client cannot keep a connection open by sending slowly,
// even if its request is answered before the body has arrived. The test uses shorter timeouts
// than the server.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, d := range []*time.Duration{&s.http.ReadHeaderTimeout, &s.http.ReadTimeout, &s.http.WriteTimeout, &s.http.IdleTimeout} {
		*d /= 20
	}
	s.http.IdleTimeout /= 3
	startServer(t, s)
	for name, test := range map[string]struct{ begin, then, answer string }{
		"nothing":               {"", "", ""},
		"a header":              {"GET /healthz HTTP/1.1\r\n", "A: b\r\n", ""},
		"a body":                {"POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", " ", "401 "},
		"a body nobody wants":   {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", " ", "200 "},
		"a body of a socket":    {"POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", " ", "400 "},
		"nothing any more":      {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", "200 "},
		"a body without length": {"POST /v1/groups HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "401 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			stop := make(chan struct{})
			defer close(stop)
			go drip(conn, test.begin, test.then, stop)
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the connection is still open after %q", got)
			}
			if !strings.Contains(string(got), test.answer) {
				t.Errorf("answered %q, want %s", got, test.answer)
			}
		})
	}
}

// TestRequestsAreBounded checks that net/http refuses invalid requests and requests with a large
// header.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	startServer(t, s)
	for name, test := range map[string]struct{ request, status string }{
		"a large header":        {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", maxHeader-200) + "\r\n\r\n", "200"},
		"too large a header":    {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n", "431"},
		"too large a handshake": {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nA: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n", "431"},
		"two lengths":           {"POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
		"no host":               {"GET /healthz HTTP/1.1\r\n\r\n", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			go func() { _, _ = io.WriteString(conn, test.request) }() // the answer may arrive before the request is written
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if !strings.HasPrefix(answer.Status, test.status) {
				t.Errorf("answered %s, want %s", answer.Status, test.status)
			}
		})
	}
}

// TestWaitingForTheDatabase checks that a node that waits for PostgreSQL answers health checks,
// and ends without an error when it is stopped.
func TestWaitingForTheDatabase(t *testing.T) {
	t.Parallel()
	cfg := config.Config{}
	cfg.HTTP.Addr = fmt.Sprintf("127.0.0.1:%d", childtest.FreePort())
	cfg.Database.URL = fmt.Sprintf("postgres://nobody@127.0.0.1:%d/x", childtest.FreePort())
	cfg.Auth.Secret = testSecret
	s, err := NewServer(cfg.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/me/groups": 503, "/ws": 503, "/nothing": 503} {
		for status := 0; status != want; {
			answer, err := client.Get("http://" + cfg.HTTP.Addr + path)
			if err != nil {
				select {
				case err := <-ended:
					t.Fatalf("the node ended: %v", err)
				default: // the node does not listen yet
					continue
				}
			}
			_ = answer.Body.Close()
			if status = answer.StatusCode; status != want {
				t.Fatalf("%s answers %d, want %d", path, status, want)
			}
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it was told to stop: %v", err)
	}
}

// TestRefusalsAreLogged checks that the log says why clients cannot connect, once for each reason
// and without their tokens. A request with two tokens counts as one without a token.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	var log childtest.Log
	s := newServer(t, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	startServer(t, s)
	for _, c := range []struct {
		path, name string
		values     []string
		status     int
	}{
		{"/socket.io/?EIO=4&transport=flash", "Origin", nil, 400},
		{"/socket.io/?EIO=4&transport=polling", "Origin", []string{"https://evil.example"}, 403},
		{"/ws", "Authorization", []string{"Bearer hunter2"}, 401},
		{"/ws", "Authorization", []string{"Bearer hunter2", "Bearer hunter3"}, 400},
		{"/v1/me/groups", "Authorization", []string{"Bearer hunter2", "Bearer hunter3"}, 400},
		{"/v1/me/groups", "Idempotency-Key", []string{"a", "b"}, 400},
	} {
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.path == "/ws" {
				req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
			}
			req.Header[c.name] = c.values
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != c.status {
				t.Errorf("%s with %s %q answers %d, want %d", c.path, c.name, c.values, answer.StatusCode, c.status)
			}
		}
	}
	said := log.String()
	for _, phrase := range []string{"refused a transport", "transport=flash", "refused an origin", "origin=https://evil.example", "socket: refused a client"} {
		if strings.Count(said, phrase) != 1 {
			t.Errorf("the log has %q %d times, want once", phrase, strings.Count(said, phrase))
		}
	}
	if strings.Contains(said, "hunter") {
		t.Errorf("a token is in the log:\n%s", said)
	}
}

// A page may try to load the client from the server, as with Node's server. The answer must say
// where the client is.
func TestClientFilesAreNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	startServer(t, s)
	for _, file := range []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"} {
		answer, err := http.Get("http://" + s.Addr() + "/socket.io/" + file)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "npm package socket.io-client") {
			t.Errorf("%s: %d %s, %v", file, answer.StatusCode, body, err)
		}
	}
}

// TestSocketsOutliveTheTimesOfRequests checks that the server's timeouts do not apply after the
// upgrade.
func TestSocketsOutliveTheTimesOfRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const timeout = 4 * time.Second // long enough to open the socket on a busy machine
	s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = timeout, timeout, timeout, timeout
	startServer(t, s)
	token, err := auth.Mint([]byte(testSecret), auth.Identity{UserID: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.Addr()+plainPath, header)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = resp.Body.Close(), conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for end := time.Now().Add(timeout + timeout/2); time.Now().Before(end); {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"event":"nothing:known","data":{}}`)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || !strings.Contains(string(got), "unknown_event") {
			t.Fatalf("answered %s, %v", got, err)
		}
	}
}

// TestAcceptFails checks that the node logs that it has no file descriptors left, and serves
// again once it has.
func TestAcceptFails(t *testing.T) {
	t.Parallel()
	var logged childtest.Log
	s := newServer(t, WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(&failing{inner, []error{syscall.EMFILE}}) }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "418") {
		t.Errorf("answered %q, %v", answer, err)
	}
	if log := logged.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "too many open files") {
		t.Errorf("logged %q", log)
	}
	if err := s.http.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestStopAnswersOpenRequests checks that a node that stops answers the requests that it is
// reading, and tells these clients that the connection closes. Idle connections must not delay
// the stop.
func TestStopAnswersOpenRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	entered, finish := make(chan struct{}, 1), make(chan struct{})
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		entered <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, "answered")
	})
	stopping := make(chan struct{})
	s.http.RegisterOnShutdown(func() { close(stopping) })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	idle, open := dial(t, s), dial(t, s)
	for conn, request := range map[net.Conn]string{
		idle: "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		open: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
	} {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
	}
	waiting := bufio.NewReader(idle)
	if answer, err := http.ReadResponse(waiting, nil); err != nil || answer.Close {
		t.Fatalf("answered %v, %v", answer, err)
	}
	<-entered
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stopped <- s.Stop(ctx)
	}()
	<-stopping
	if _, err := waiting.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the silent connection did not end: %v", err)
	}
	close(finish)
	answer, err := http.ReadResponse(bufio.NewReader(open), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "answered" || !answer.Close {
		t.Errorf("answered %q, the last: %t, %v", text, answer.Close, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestStopCutsRequestsOff checks that requests that take too long are cut off when the node
// stops, early enough for all other parts to stop.
func TestStopCutsRequestsOff(t *testing.T) {
	t.Parallel()
	var stopped atomic.Bool
	s := newServer(t, WithModule(fx.Invoke(func(l fx.Lifecycle) { l.Append(fx.StopHook(func() { stopped.Store(true) })) })))
	entered := make(chan struct{}, 1)
	s.http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // until the client closes the connection
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, s)
	if _, err := io.WriteString(conn, "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if !stopped.Load() {
		t.Error("nothing else was stopped")
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestHTTP2WithoutTLS checks that a proxy can use HTTP/2 with prior knowledge. Sockets need
// HTTP/1.1, and the answer must say so.
func TestHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	startServer(t, s)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	for path, status := range map[string]int{"/healthz": http.StatusOK, "/v1/me/groups": http.StatusUnauthorized, "/ws": http.StatusUpgradeRequired} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode != status || err != nil {
			t.Errorf("%s: %s, status %d, %s, %v, want HTTP/2 and %d", path, res.Proto, res.StatusCode, body, err, status)
		}
	}
}
