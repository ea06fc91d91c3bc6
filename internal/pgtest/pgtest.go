// Package pgtest runs real PostgreSQL servers for tests. Each server has its own cluster,
// which is removed when the test ends.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/childtest"
)

const (
	startTimeout = 30 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// Server is a running PostgreSQL server on 127.0.0.1 that accepts everyone as the superuser
// postgres. It does not sync to disk unless a setting says so. Tests kill processes, not
// machines, and often run on slow disks.
type Server struct {
	tb       testing.TB
	postgres string // the binary
	dir      string
	port     int
	log      *childtest.Log
	names    atomic.Int64

	model     sync.Once // fills the database that NewCopy copies
	modelName string
	modelFail error

	mu     sync.Mutex
	cmd    *exec.Cmd     // nil while it is down
	exited chan struct{} // closed when cmd has ended
}

// Start runs a server until the test ends. Settings are lines of postgresql.conf. If
// PostgreSQL is not installed, the test is skipped; if CI is set, it fails. If the test
// fails, the server's log is printed.
//
// Starting takes about a second, so tests share a server, and each one has its own database
// from [Server.NewDatabase].
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	bin, err := find()
	if err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("pgtest: %v", err)
		}
		tb.Skipf("pgtest: %v", err)
	}
	dir, err := os.MkdirTemp("", "pgtest") //nolint:usetesting // the server's own account cannot enter tb.TempDir
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	s := &Server{tb: tb, postgres: filepath.Join(bin, "postgres"), dir: dir, log: &childtest.Log{}}
	tb.Cleanup(s.close)
	if err := s.initialize(bin, settings); err != nil {
		tb.Fatalf("pgtest: make a cluster: %v\n%s", err, s.log)
	}
	for range 20 {
		s.port = childtest.FreePort()
		if err = s.run(); err == nil {
			return s
		}
	}
	tb.Fatalf("pgtest: start PostgreSQL: %v\n%s", err, s.log)
	return nil
}

// find returns the folder of initdb and postgres: in PATH, or the newest version in
// Debian's folders.
func find() (string, error) {
	if file, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(file), nil
	}
	newest, best := "", 0
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	for _, file := range found {
		bin := filepath.Dir(file)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > best {
			newest, best = bin, version
		}
	}
	if newest == "" {
		return "", fmt.Errorf("PostgreSQL's server (initdb, postgres) is not installed")
	}
	return newest, nil
}

func (s *Server) initialize(bin string, settings []string) error {
	if err := giveAway(s.dir); err != nil {
		return err
	}
	if err := s.makeCluster(bin); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	settings = append([]string{"", "fsync = off", "full_page_writes = off"}, settings...) // the last one counts
	_, err = conf.WriteString(strings.Join(settings, "\n") + "\n")
	if closeErr := conf.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Addr returns the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the URL of one of the server's databases.
func (s *Server) URL(database string) string { return s.URLVia(s.Addr(), database) }

// URLVia is [Server.URL] with another address, such as a proxy's.
func (s *Server) URLVia(addr, database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", addr, database)
}

// NewDatabase creates an empty database and returns its URL. Its text sorts as in a
// dictionary, as in most production databases, so code that needs the order of bytes has to
// request it.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	return s.URL(s.create(tb, "template0"))
}

// NewCopy creates a database with the content that fill writes to an empty one, and returns
// its URL. Only the first call calls its fill; all others on this server copy the result.
func (s *Server) NewCopy(tb testing.TB, fill func(url string) error) string {
	tb.Helper()
	s.model.Do(func() {
		s.modelName = s.create(tb, "template0")
		s.modelFail = fill(s.URL(s.modelName))
	})
	if s.modelName == "" || s.modelFail != nil {
		tb.Fatalf("pgtest: fill the database that is copied: %v", s.modelFail)
	}
	return s.URL(s.create(tb, s.modelName))
}

// create creates a database from a template, and returns its name.
func (s *Server) create(tb testing.TB, template string) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", s.names.Add(1))
	s.Exec(tb, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template+" LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	return name
}

// Exec runs a statement in one of the server's databases.
func (s *Server) Exec(tb testing.TB, database, statement string) {
	tb.Helper()
	ctx := tb.Context()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		tb.Fatalf("pgtest: %s: %v", statement, err)
	}
}

// Stop stops the server like an operator does, with a fast shutdown that cuts open connections.
// It waits until the server has ended. It may be called twice.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(os.Interrupt)
}

// Kill ends the server at once, like kill -9. It may be called twice.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(os.Kill)
}

func (s *Server) end(signal os.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
}

// Restart kills the server, if it is running, and starts it again on the same port with the
// same data.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	deadline := time.Now().Add(startTimeout)
	for {
		// The child processes of a killed server end a moment later, and the server cannot start
		// before that.
		err := s.run()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("pgtest: restart PostgreSQL: %v\n%s", err, s.log)
		}
	}
}

func (s *Server) close() {
	s.Stop()
	_ = os.RemoveAll(s.dir)
	if s.tb.Failed() {
		s.tb.Logf("PostgreSQL %s:\n%s", s.Addr(), s.log)
	}
}

// run starts the process and waits until it accepts a connection.
func (s *Server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.CommandContext(context.Background(), s.postgres, "-D", s.data(), "-k", s.dir,
		"-h", "127.0.0.1", "-p", strconv.Itoa(s.port))
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = s.log, s.log
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	deadline := time.After(startTimeout)
	for {
		select {
		case <-exited:
			return fmt.Errorf("it ended: %s", cmd.ProcessState)
		case <-deadline:
			_ = cmd.Process.Kill()
			<-exited
			return fmt.Errorf("not ready after %s", startTimeout)
		case <-tick.C:
			if s.answers() {
				s.cmd, s.exited = cmd, exited
				return nil
			}
		}
	}
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return false
	}
	_ = conn.Close(ctx)
	return true
}
