package e2e

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/moim-live/moim/internal/childtest"
)

var deploy = filepath.Join("..", "..", "deploy")

// TestDockerfile runs the build command of the Dockerfile. The program must need no shared
// library, and must accept the environment of the image.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the image is for Linux")
	}
	text, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /moim \.$`).FindSubmatch(text)
	env := regexp.MustCompile(`(?m)^ENV (.*)$`).FindSubmatch(text)
	if build == nil || env == nil {
		t.Fatalf("no build command or no environment in\n%s", text)
	}
	program := filepath.Join(t.TempDir(), "moim")
	cmd := exec.Command("sh", "-ec", string(build[1])+" -o "+program+" .")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "VERSION=1.2.3")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker, which the image does not have")
		}
	}
	if out, err := exec.Command(program, "version").CombinedOutput(); err != nil || !strings.Contains(string(out), "1.2.3") {
		t.Errorf("version: %v, %s", err, out)
	}
	cmd = exec.Command(program, "config")
	cmd.Env = append(strings.Fields(string(env[1])), "MOIM_AUTH_SECRET="+secret)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "/data") {
		t.Errorf("config: %v\n%s", err, out)
	}
	healthy(t, text, program)
}

// healthy runs a node as the user of the image, with a directory like /data, and runs the health
// check of the image.
func healthy(t *testing.T, dockerfile []byte, program string) {
	t.Helper()
	command := regexp.MustCompile(`(?m)^HEALTHCHECK .*CMD (\[.*\])$`).FindSubmatch(dockerfile)
	var check []string
	if len(command) != 2 || json.Unmarshal(command[1], &check) != nil || len(check) == 0 || check[0] != "/moim" {
		t.Fatalf("no health check in\n%s", dockerfile)
	}
	if !regexp.MustCompile(`(?m)^FROM gcr.io/distroless/static-debian\d+:nonroot$`).Match(dockerfile) || regexp.MustCompile(`(?m)^USER`).Match(dockerfile) {
		t.Error("the image's user is not that of nonroot")
	}
	if os.Getuid() != 0 {
		t.Log("not as the image's user: only root can start a program as another user")
		return
	}
	const nonroot = 65532
	dir, err := os.MkdirTemp("", "moim-image-") //nolint:usetesting // the folder around t.TempDir is only for this user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, installed := filepath.Join(dir, "data"), filepath.Join(dir, "moim")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(data, 0o755), os.Chown(data, nonroot, nonroot), os.Rename(program, installed)); err != nil {
		t.Fatal(err)
	}
	env := []string{"MOIM_HTTP_ADDR=" + freeAddr(), "MOIM_DATA_DIR=" + data, "MOIM_AUTH_SECRET=" + secret}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(installed, args...)
		cmd.Dir, cmd.Env = "/", env
		asUser(cmd, nonroot)
		childtest.DieWithParent(cmd)
		return cmd
	}
	if run(check[1:]...).Run() == nil {
		t.Error("the health check passes although no node runs")
	}
	node := run()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	need(t, startWithin, "the health check passes", func() bool { return run(check[1:]...).Run() == nil })
	if err := errors.Join(node.Process.Signal(os.Interrupt), node.Wait()); err != nil {
		t.Error(err)
	}
}

// TestCompose checks that the nodes of compose.yaml accept their configuration.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(deploy, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			DependsOn   any `yaml:"depends_on"`
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node1", "node2"} {
		service, ok := compose.Services[name]
		if !ok {
			t.Fatalf("no service %s", name)
		}
		n := newNode(t)
		for key, value := range service.Environment {
			if strings.HasPrefix(value, "${MOIM_AUTH_SECRET:?") {
				value = secret
			}
			n.env = append(n.env, key+"="+value)
		}
		out, err := n.command("config").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "http://"+name+":8080") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for key, value := range service.Environment {
			_, host, found := strings.Cut(value, "://")
			if !found || key == "MOIM_AUTH_SECRET" {
				continue
			}
			host = host[strings.LastIndex(host, "@")+1:]
			host = strings.FieldsFunc(host, func(r rune) bool { return r == ':' || r == '/' })[0]
			if _, ok := compose.Services[host]; !ok {
				t.Errorf("%s: %s names %s, which is no service", name, key, host)
			}
		}
	}
}

// TestUnit checks that systemd accepts the unit.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile(filepath.Join(deploy, "moim.service"))
	if err != nil {
		t.Fatal(err)
	}
	installed := strings.ReplaceAll(string(text), "/usr/local/bin/moim", moim(t))
	unit := filepath.Join(t.TempDir(), "moim.service")
	if err := os.WriteFile(unit, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "moim.service") {
		t.Errorf("%v\n%s", err, out)
	}
}
