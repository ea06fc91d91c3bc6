//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

const (
	readyWithin = 30 * time.Second
	endsWithin  = 30 * time.Second
)

// ErrMissing means that a program is not installed here.
var ErrMissing = errors.New("not to be had here")

// Host runs processes until it is closed, and measures their use. It is not safe for
// concurrent use. Processes that other code starts while it starts PostgreSQL or Redis
// would count as its own.
type Host struct {
	ctx      context.Context //nolint:containedctx // the processes end with it
	stage    *stage
	postgres *pgtest.Server
	own      map[int]bool // processes that it has started, by id
}

// New returns a host without processes.
func New(ctx context.Context) *Host {
	return &Host{ctx: ctx, stage: &stage{ctx: ctx}, own: make(map[int]bool)}
}

// Close ends all processes, the latest first, and removes the folders.
func (h *Host) Close() { h.stage.end() }

// Dir creates a folder that Close removes.
func (h *Host) Dir() (dir string, err error) {
	err = h.stage.try(func() { dir = h.stage.TempDir() })
	return dir, err
}

// Redis runs a redis-server and returns its host:port, or ErrMissing.
func (h *Host) Redis() (addr string, err error) {
	err = h.adopt(func() error {
		return h.stage.try(func() { addr = redistest.Start(h.stage).Addr() })
	})
	return addr, err
}

// Postgres returns the URL of a new database, or ErrMissing.
func (h *Host) Postgres() (url string, err error) {
	err = h.adopt(func() error {
		return h.stage.try(func() {
			if h.postgres == nil {
				h.postgres = pgtest.Start(h.stage, "fsync = on", "full_page_writes = on")
			}
			url = h.postgres.NewDatabase(h.stage)
		})
	})
	return url, err
}

// FreeAddr returns a host:port on which no process listens.
func FreeAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(childtest.FreePort())) }

// Process is a process that a host runs.
type Process struct {
	cmd    *exec.Cmd
	log    *childtest.Log
	exited chan struct{}
}

// Run starts a process whose environment has only PATH and env. It waits until a GET of
// ready, a URL, returns 200.
func (h *Host) Run(env []string, dir, ready, program string, args ...string) (*Process, error) {
	cmd := exec.CommandContext(h.ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	p := &Process{cmd: cmd, log: &childtest.Log{}, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	childtest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	h.own[p.PID()] = true
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	h.stage.Cleanup(p.kill)
	if err := p.await(h.ctx, ready); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", program, err, p.log)
	}
	return p, nil
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// End asks the process to end and waits until it has ended. Ending it twice is allowed.
func (p *Process) End() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(endsWithin):
		p.kill()
	}
}

func (p *Process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *Process) await(ctx context.Context, ready string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("it ended: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s", readyWithin)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// Version returns the first line of a program's output.
func Version(ctx context.Context, program string, args ...string) string {
	text, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// Machine describes this machine and its load in the last minute.
func Machine() string {
	text := fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.Version())
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		text += ", Linux " + strings.TrimSpace(string(release))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		minute, _, _ := strings.Cut(string(load), " ")
		text += "; its load before: " + minute
	}
	return text
}
