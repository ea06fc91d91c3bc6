package deploy

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

const startWithin = time.Minute

// TestPodRuns starts the program like the pod of the chart: with the same arguments, environment
// and user, and without a writable directory.
func TestPodRuns(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a program as another user")
	}
	m := chart(t, minimal+"config: {http.origins: ['https://app.example.com'], group.retention.count: 1000000}\n")
	pod := m.deployment.Spec.Template.Spec
	container := pod.Containers[0]

	dir, err := os.MkdirTemp("", "moim-pod-") //nolint:usetesting // the folder around t.TempDir is only for this user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "moim")
	build := exec.Command("go", "build", "-tags", "nomsgpack", "-o", program, ".")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mount := container.VolumeMounts[0].MountPath
	for file, text := range m.config.Data {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var args []string
	for _, arg := range container.Args {
		args = append(args, strings.Replace(arg, mount, dir, 1))
	}
	secrets := map[string]string{
		"MOIM_AUTH_SECRET":  "a-secret-of-thirty-two-bytes-here",
		"MOIM_DATABASE_URL": pgtest.Start(t).NewDatabase(t),
		"MOIM_REDIS_URL":    redistest.Start(t).URL(),
	}
	ports := map[int32]string{} // the ports of the container, with their addresses in this test
	for _, p := range container.Ports {
		ports[p.ContainerPort] = strconv.Itoa(childtest.FreePort())
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = environment(t, container, secrets, ports)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: uint32(*pod.SecurityContext.RunAsUser), Gid: uint32(*pod.SecurityContext.RunAsGroup),
	}}
	childtest.DieWithParent(cmd)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func(within time.Duration) error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			return err
		case <-time.After(within):
			_ = cmd.Process.Kill()
			return fmt.Errorf("it runs for more than %s: %w", within, <-ended)
		}
	}
	for _, probe := range []*core.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
		if err := answers(port(container, ports, probe.HTTPGet.Port.StrVal), probe.HTTPGet.Path); err != nil {
			t.Errorf("%s: %v", probe.HTTPGet.Path, err)
		}
	}
	if err := answers(port(container, ports, "metrics"), "/metrics"); err != nil {
		t.Error(err)
	}
	grace := *pod.TerminationGracePeriodSeconds - container.Lifecycle.PreStop.Sleep.Seconds
	if err := stop(time.Duration(grace) * time.Second); err != nil || t.Failed() {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// environment returns the environment that Kubernetes gives the container, with the ports of this
// test.
func environment(t *testing.T, container core.Container, secrets map[string]string, ports map[int32]string) []string {
	t.Helper()
	env := []string{"PATH=/", "HOME=/", "TMPDIR=/nowhere"}
	known := map[string]string{}
	for _, e := range container.Env {
		value := e.Value
		switch from := e.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil && from.FieldRef.FieldPath == "status.podIP":
			value = "127.0.0.1"
		case from.SecretKeyRef != nil && from.SecretKeyRef.Name == "moim":
			value = secrets[from.SecretKeyRef.Key]
		default:
			t.Fatalf("%s comes from %v", e.Name, from)
		}
		for name, of := range known { // like Kubernetes, only from variables that were listed before
			value = strings.ReplaceAll(value, "$("+name+")", of)
		}
		if !strings.Contains(e.Name, "DATABASE") && !strings.Contains(e.Name, "REDIS") {
			for is, here := range ports {
				value = strings.ReplaceAll(value, ":"+strconv.Itoa(int(is)), ":"+here)
			}
		}
		known[e.Name] = value
		env = append(env, e.Name+"="+value)
	}
	return env
}

func port(container core.Container, ports map[int32]string, name string) string {
	for _, p := range container.Ports {
		if p.Name == name {
			return ports[p.ContainerPort]
		}
	}
	return ""
}

// answers waits until the path answers with status 200.
func answers(port, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+path, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", path, res.Status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
