package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// Bouncer runs PgBouncer in transaction mode in front of the server until the test ends,
// and returns its host:port. It opens few connections to the server, so that several
// clients share each one. Without PgBouncer, the test is skipped or fails as with [Start].
func (s *Server) Bouncer(tb testing.TB) string {
	tb.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		binary, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("pgtest: %v", err)
		}
		tb.Skipf("pgtest: %v", err)
	}
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	for range 20 {
		listen := childtest.FreePort()
		addr := net.JoinHostPort(host, fmt.Sprint(listen))
		conf := fmt.Sprintf("[databases]\n* = host=%s port=%s user=postgres\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %d\nunix_socket_dir =\n"+
			"auth_type = any\npool_mode = transaction\ndefault_pool_size = 5\nmax_client_conn = 500\n", host, port, host, listen)
		if err = s.runBouncer(tb, binary, addr, conf); err == nil {
			return addr
		}
	}
	tb.Fatalf("pgtest: start PgBouncer: %v", err)
	return ""
}

// runBouncer waits until PgBouncer accepts connections, or has ended.
func (s *Server) runBouncer(tb testing.TB, binary, addr, conf string) error {
	file := filepath.Join(s.dir, "pgbouncer-"+filepath.Base(addr)+".ini")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil { // the server's own account reads it
		return err
	}
	log := &childtest.Log{}
	cmd := exec.CommandContext(tb.Context(), binary, file)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	stop := func() {
		_ = cmd.Process.Kill()
		<-exited
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	deadline := time.After(startTimeout)
	for {
		select {
		case <-exited:
			return fmt.Errorf("it ended: %s\n%s", cmd.ProcessState, log)
		case <-deadline:
			stop()
			return errors.New("it does not listen")
		case <-tick.C:
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		_ = conn.Close()
		tb.Cleanup(func() {
			stop()
			if tb.Failed() {
				tb.Logf("PgBouncer %s:\n%s", addr, log)
			}
		})
		return nil
	}
}
