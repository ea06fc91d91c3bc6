// Package redistest runs real Redis servers for tests. Each server is a process that ends
// with the test.
package redistest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/childtest"
)

// startTimeout is the time that a server has until it must accept connections.
const startTimeout = 30 * time.Second

// Option changes how a server is started.
type Option func(*Server)

// WithPassword makes the server ask for a password (requirepass).
func WithPassword(password string) Option {
	return func(s *Server) {
		s.password = password
		s.config = append(s.config, "requirepass "+password)
	}
}

// WithUser disables the default user and creates an ACL user instead. Without rules
// ("~moim:*", "&moim:*", "+@all" …), the user may do everything.
func WithUser(name, password string, rules ...string) Option {
	if len(rules) == 0 {
		rules = []string{"~*", "&*", "+@all"}
	}
	return func(s *Server) {
		s.user, s.password = name, password
		s.config = append(s.config,
			fmt.Sprintf("user %s on >%s %s", name, password, strings.Join(rules, " ")),
			"user default off")
	}
}

// WithTLS makes the server accept only TLS, with a certificate for 127.0.0.1 from a new
// authority: see [Server.CAFile] and [Server.Client].
func WithTLS() Option { return func(s *Server) { s.tls = true } }

// WithConfig adds a line to the server's redis.conf.
func WithConfig(line string) Option {
	return func(s *Server) { s.config = append(s.config, line) }
}

// Server is a running redis-server on 127.0.0.1, without persistence.
type Server struct {
	tb       testing.TB
	binary   string
	dir      string
	port     int
	user     string
	password string
	tls      bool
	config   []string
	sentinel bool
	roots    *x509.CertPool
	log      *childtest.Log

	mu     sync.Mutex
	cmd    *exec.Cmd    // nil while it is killed
	exited <-chan error // what cmd's Wait returned
	client *redis.Client
}

// Start runs a server until the test ends. If redis-server is not installed, the test is
// skipped; if CI is set, it fails. If the test fails, the server's log is printed.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("redistest: redis-server is not installed: %v", err)
		}
		tb.Skip("redistest: redis-server is not installed")
	}
	s := &Server{tb: tb, binary: binary, dir: tb.TempDir(), log: &childtest.Log{}}
	for _, opt := range opts {
		opt(s)
	}
	if s.tls {
		if s.roots, err = writeCertificates(s.dir); err != nil {
			tb.Fatalf("redistest: make certificates: %v", err)
		}
	}
	tb.Cleanup(s.close)
	for range 20 {
		s.port = childtest.FreePort()
		if err = s.run(); err == nil {
			return s
		}
	}
	tb.Fatalf("redistest: start redis-server: %v\n%s", err, s.log)
	return nil
}

// Addr returns the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the server's URL with the credentials that it asks for.
func (s *Server) URL() string { return s.URLVia(s.Addr()) }

// URLVia is [Server.URL] with another address, such as a proxy's.
func (s *Server) URLVia(addr string) string {
	u := url.URL{Scheme: "redis", Host: addr}
	if s.tls {
		u.Scheme = "rediss"
	}
	if s.password != "" {
		u.User = url.UserPassword(s.user, s.password)
	}
	return u.String()
}

// CAFile returns the file with the authority of a [WithTLS] server.
func (s *Server) CAFile() string { return filepath.Join(s.dir, caFile) }

// CertFiles returns the files of the server's certificate, signed by the authority of a [WithTLS]
// server, and of its key. A client can also use them.
func (s *Server) CertFiles() (cert, key string) {
	return filepath.Join(s.dir, certFile), filepath.Join(s.dir, keyFile)
}

// Client returns a client of this server. There is one for each server, and it is closed
// when the test ends.
func (s *Server) Client() *redis.Client {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		opt, err := redis.ParseURL(s.URL())
		if err != nil {
			s.tb.Fatalf("redistest: %v", err)
		}
		opt.TLSConfig = s.TLSConfig()
		s.client = redis.NewClient(opt)
	}
	return s.client
}

// TLSConfig returns the client configuration for a [WithTLS] server, or nil.
func (s *Server) TLSConfig() *tls.Config {
	if !s.tls {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.CertFiles())
	if err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	return &tls.Config{RootCAs: s.roots, Certificates: []tls.Certificate{pair}, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// Kill ends the server at once, like kill -9. It may be called twice.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

// Restart kills the server, if it is running, and starts it again on the same port, without
// data.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.tb.Fatalf("redistest: restart redis-server: %v\n%s", err, s.log)
	}
}

func (s *Server) close() {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		_ = client.Close()
	}
	s.Kill()
	if s.tb.Failed() {
		s.tb.Logf("redis-server %s:\n%s", s.Addr(), s.log)
	}
}

// run starts the process and waits until it reports that it accepts connections.
func (s *Server) run() error {
	conf := []string{"bind 127.0.0.1", "dir " + s.dir, "daemonize no"}
	if !s.sentinel {
		conf = append(conf, "save \"\"", "appendonly no")
	}
	if s.tls {
		conf = append(conf, "port 0", fmt.Sprintf("tls-port %d", s.port), "tls-auth-clients optional",
			"tls-cert-file "+filepath.Join(s.dir, certFile), "tls-key-file "+filepath.Join(s.dir, keyFile),
			"tls-ca-cert-file "+s.CAFile())
	} else {
		conf = append(conf, fmt.Sprintf("port %d", s.port))
	}
	file := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(append(conf, s.config...), "\n")+"\n"), 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ready, args := s.log.Expect("Ready to accept connections"), []string{file}
	if s.sentinel {
		ready, args = s.log.Expect("Sentinel ID is "), append(args, "--sentinel")
	}
	cmd := exec.CommandContext(context.Background(), s.binary, args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	childtest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	select {
	case <-ready:
		s.cmd = cmd
		s.exited = exited
		return nil
	case err := <-exited:
		return fmt.Errorf("it ended: %w", err)
	case <-time.After(startTimeout):
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("not ready after %s", startTimeout)
	}
}

// Patiently returns a server's URL with settings that make clients wait for a busy server.
func Patiently(url string) string {
	return url + "?dial_timeout=1m&read_timeout=1m&write_timeout=1m&pool_timeout=1m"
}
