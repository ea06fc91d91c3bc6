package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupAndRestore makes a copy under load. The copy must hold every message that was
// acknowledged before it, and a restored node must serve it.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	alice := api{base: n.URL(), token: mint("alice", time.Hour)}
	var g group
	alice.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "kept"}, &g)
	post := func(i int) {
		alice.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": i}, nil)
	}
	const before = 20
	for i := range before {
		post(i)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := before; ; i++ {
			select {
			case <-stop:
				return
			default:
				post(i)
			}
		}
	}()
	file := filepath.Join(n.dir, "copy.db")
	out, err := n.command("backup", file).CombinedOutput()
	close(stop)
	<-stopped
	if err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	if out, err := n.command("backup", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "name a new file") {
		t.Errorf("a backup over a file: %v\n%s", err, out)
	}
	if out, err := n.command("restore", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "another moim") {
		t.Errorf("a restore while the node runs: %v\n%s", err, out)
	}

	var head group
	alice.must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID, nil, &head)
	n.Kill() // so that the write-ahead log is not empty
	damaged := filepath.Join(n.dir, "damaged.db")
	contents, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"damaged": append(contents[:len(contents)/2:len(contents)/2], make([]byte, len(contents)/2)...), "something else": []byte("hello")} {
		if err := os.WriteFile(damaged, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := n.command("restore", damaged).CombinedOutput(); err == nil {
			t.Errorf("%s is restored:\n%s", name, out)
		}
	}
	if out, err := n.command("restore", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "the database that was there is now") {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	var restored group
	alice.must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID, nil, &restored)
	if restored.Version < before+1 || restored.Version > head.Version {
		t.Errorf("restored at version %d, want %d to %d", restored.Version, before+1, head.Version)
	}
	kept, err := filepath.Glob(filepath.Join(n.dir, "data", "moim.db.2*"))
	if err != nil || len(kept) == 0 {
		t.Errorf("the replaced database is kept as %v, %v", kept, err)
	}
	// The restore keeps the replaced file and its write-ahead log. They can be put back.
	n.Kill()
	for _, name := range kept {
		if strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") {
			continue
		}
		if out, err := n.command("restore", name).CombinedOutput(); err != nil {
			t.Fatalf("restore the replaced database: %v\n%s", err, out)
		}
	}
	n.run()
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	var again group
	if alice.must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID, nil, &again); again.Version != head.Version {
		t.Errorf("the replaced database is at version %d, want %d", again.Version, head.Version)
	}
	if left, err := filepath.Glob(filepath.Join(n.dir, "data", "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestHelp checks that the help of a command shows only its own flags and an example, and that a
// mistyped command is answered with the right one.
func TestHelp(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, command := range [][]string{
		{"check"},
		{"backup"},
		{"restore"},
		{"import"},
		{"export"},
		{"migrate", "up"},
		{"migrate", "down"},
		{"migrate", "status"},
		{"token"},
		{"redis", "check"},
		{"redis", "move"},
		{"config"},
	} {
		out, err := n.command(append(command, "--help")...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Example") || !strings.Contains(string(out), "moim "+strings.Join(command, " ")) ||
			strings.Contains(string(out), "--redis-cache-url") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		if same, err := n.command(append([]string{"help"}, command...)...).CombinedOutput(); err != nil || string(same) != string(out) {
			t.Errorf("help %s: %v\n%s", command, err, same)
		}
	}
	if out, err := n.command("serve", "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "--redis-cache-url") {
		t.Errorf("serve: %v\n%s", err, out)
	}
	for wrong, says := range map[string]string{"servee": `did you mean "serve"?`, "backups": `did you mean "backup"?`, "xyzzy": "moim --help"} {
		if out, err := n.command(wrong).CombinedOutput(); err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v\n%s", wrong, err, out)
		}
	}
	if out, err := n.command("migrate", "down").CombinedOutput(); err == nil || !strings.Contains(string(out), "--yes") {
		t.Errorf("migrate down without a terminal: %v\n%s", err, out)
	}
	if out, err := n.command("migrate", "down", "--yes").CombinedOutput(); err != nil {
		t.Errorf("migrate down --yes: %v\n%s", err, out)
	}
}
