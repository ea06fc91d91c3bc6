package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheReadmesTour runs the tour of the README twice in a shell, in a copy of the repository.
// Both runs must print what Alice should see, and leave no process or file.
func TestTheReadmesTour(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Five minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var tour strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		tour.WriteString(block[1])
	}
	addr := freeAddr()
	script := strings.ReplaceAll(tour.String(), "127.0.0.1:8080", addr)

	work := t.TempDir()
	runIn(t, work, nil, "sh", "-c", `cd "$1" && git ls-files -z | xargs -0 cp --parents -t "$2"`, "sh", root, work)
	before := runIn(t, work, nil, "ls", "-A")
	for range 2 {
		printed := runIn(t, work, []string{"MOIM_HTTP_ADDR=" + addr}, "timeout", "300", "bash", "-c", script)
		seen := []string{"subscribed at version 1, 1 online", "2 member.joined", "3 message.posted", "I bring the tea"}
		rest := printed
		for _, want := range seen {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Fatalf("the tour does not print %q, in the order %q:\n%s", want, seen, printed)
			}
			rest = after
		}
		if after := runIn(t, work, nil, "ls", "-A"); after != before {
			t.Errorf("the tour leaves\n%s\nwhere there was\n%s", after, before)
		}
	}
}

// runIn runs a program in a folder and returns its output.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
