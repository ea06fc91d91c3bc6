package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
)

func newServer(t *testing.T, opts ...Option) *Server {
	t.Helper()
	cfg := config.Config{}
	cfg.HTTP.Addr, cfg.Data.Dir = "127.0.0.1:0", t.TempDir()
	cfg.Auth.Secret = "a secret of at least thirty-two bytes"
	s, err := NewServer(cfg.WithDefaults(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whoever sends slowly is cut off, also when his request was answered before
// its body had arrived. The times are the server's own, made shorter.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, d := range []*time.Duration{&s.http.ReadHeaderTimeout, &s.http.ReadTimeout, &s.http.WriteTimeout, &s.http.IdleTimeout} {
		*d /= 20
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
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
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
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

// Requests that go on for too long are cut off when the node stops, in time for
// everything else to stop: those that the listener waits for itself, and those
// that net/http answers.
func TestStopCutsRequestsOff(t *testing.T) {
	t.Parallel()
	var stopped atomic.Bool
	s := newServer(t, WithModule(fx.Invoke(func(l fx.Lifecycle) { l.Append(fx.StopHook(func() { stopped.Store(true) })) })))
	entered := make(chan struct{}, 1)
	s.http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // until the client is gone
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 0, 2)
	for _, path := range []string{"/v1/groups/g/signals", "/v1/groups"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if !stopped.Load() {
		t.Error("nothing else was stopped")
	}
	for i, conn := range conns {
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d is still open", i)
		}
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// drip writes begin, and then slowly goes on with the same bytes.
func drip(w io.Writer, begin, then string, stop <-chan struct{}) {
	_, err := io.WriteString(w, begin)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil && then != "" {
		select {
		case <-stop:
			return
		case <-tick.C:
			_, err = io.WriteString(w, then)
		}
	}
}
