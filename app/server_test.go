package app

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/database/databasetest"
)

const testSecret = "a secret of at least thirty-two bytes"

func newServer(t *testing.T, opts ...Option) *Server {
	t.Helper()
	cfg := config.Config{}
	cfg.HTTP.Addr, cfg.Data.Dir = "127.0.0.1:0", databasetest.Dir(t)
	cfg.Auth.Secret = testSecret
	s, err := NewServer(cfg.WithDefaults(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// failing is a listener whose first calls of Accept fail.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) == 0 {
		return f.Listener.Accept()
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

// startServer starts s and stops it when the test ends.
func startServer(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

// dial connects to s. All reads and writes have a deadline.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// drip writes begin, and then writes then slowly, again and again.
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
