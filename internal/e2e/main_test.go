package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "moim-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	workDir = dir
	code := m.Run()
	if code == 0 {
		wait(startWithin, func() bool { return goleak.Find() == nil }) // it may take a while on a busy machine
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// workDir is the directory that all tests share. It is set before they run.
var workDir string

// moim returns the path of the program, which is built once.
func moim(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// raceVar is the variable that makes the nodes report data races.
const raceVar = "MOIM_RACE"

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir, "moim")
	args := []string{"build", "-o", path}
	if os.Getenv(raceVar) != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// errNoNode is returned if the real socket.io-client cannot run on this machine.
var errNoNode = errors.New("node and npm are not installed")

// clientOnce installs socket.io-client, once.
var clientOnce = sync.OnceValue(func() error { return install(".") })

var installing sync.Mutex // several tests install packages in one folder

// install installs the packages of a folder, unless these versions are installed.
func install(dir string) error {
	installing.Lock()
	defer installing.Unlock()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return errNoNode
		}
	}
	mark := filepath.Join(dir, "node_modules", ".installed-lock")
	installed, err := os.ReadFile(mark)
	wanted, wantedErr := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if wantedErr != nil {
		return wantedErr
	}
	if err == nil && string(installed) == string(wanted) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(mark, wanted, 0o600)
}

// npmTest installs the packages of a folder and runs its test script, against a node with this
// configuration.
func npmTest(t *testing.T, folder, script string, nodeEnv ...string) {
	t.Helper()
	if err := install(folder); err != nil {
		skipOrFail(t, err)
	}
	n := startNode(t, append(nodeEnv, "MOIM_AUTH_SECRET="+secret)...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	test := exec.CommandContext(ctx, "npm", "run", script)
	test.Dir = folder
	test.Env = append(os.Environ(), "MOIM_URL="+n.URL(), "MOIM_SECRET="+secret)
	childtest.DieWithParent(test)
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// need waits until cond holds. It fails the test if cond does not hold in time. what names the
// condition in the failure message.
func need(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	if !wait(within, cond) {
		t.Fatalf("not within %s: %s", within, what)
	}
}

// wait reports whether cond holds within the given time.
func wait(within time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if cond() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return cond()
		}
	}
}
