package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/redistest"
)

// nestFolder is the example of a Nest application.
var nestFolder = filepath.Join("..", "..", "examples", "nest")

// nestOnce installs the dependencies of the example and compiles it.
var nestOnce = sync.OnceValue(func() error {
	if err := install(nestFolder); err != nil {
		return err
	}
	compile := exec.Command("npx", "tsc")
	compile.Dir = nestFolder
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("npx tsc: %w\n%s", err, out)
	}
	return nil
})

// nestServer is one process of the example application.
type nestServer struct {
	t   *testing.T
	url string
	log nodeLog
}

// startNest runs the application "before" or "after" until the test ends.
func startNest(t *testing.T, which string, env ...string) *nestServer {
	t.Helper()
	addr := freeAddr()
	s := &nestServer{t: t, url: "http://" + addr}
	port := addr[strings.LastIndex(addr, ":")+1:]
	runScript(t, &s.log, append(env, "PORT="+port), filepath.Join("dist", which, "main.js"))
	need(t, startWithin, "the Nest server listens", func() bool { return strings.Contains(s.log.String(), "listening on") })
	return s
}

// runScript runs a script of the example with Node.js until the test ends.
func runScript(t *testing.T, log *nodeLog, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("node", args...)
	cmd.Dir = nestFolder
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	childtest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("node %s:\n%s", strings.Join(args, " "), log.String())
		}
	})
}

// post makes a call as a user and decodes the answer.
func (s *nestServer) post(path, token, body string, answer any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		s.t.Fatalf("POST %s: %d %s, %v", path, res.StatusCode, data, err)
	}
	if err := json.Unmarshal(data, answer); err != nil {
		s.t.Fatalf("POST %s: %s: %v", path, data, err)
	}
}

// TestNestBeforeAndAfter makes the same calls to the example on socket.io with its Redis adapter
// and on Moim. A client must see the same changes, whichever server makes them.
func TestNestBeforeAndAfter(t *testing.T) {
	t.Parallel()
	if err := nestOnce(); err != nil {
		skipOrFail(t, err)
	}
	const secret = "AUTH_SECRET=the same secret for Nest and for Moim"
	redis := redistest.Start(t)
	for which, start := range map[string]func(t *testing.T) (servers [2]*nestServer, sockets string){
		"before": func(t *testing.T) ([2]*nestServer, string) {
			env := []string{secret, "REDIS_URL=" + redis.URL()}
			servers := [2]*nestServer{startNest(t, "before", env...), startNest(t, "before", env...)}
			return servers, servers[1].url
		},
		"after": func(t *testing.T) ([2]*nestServer, string) {
			moim := startNode(t, "MOIM_"+secret)
			env := []string{secret, "MOIM_URL=" + moim.URL()}
			return [2]*nestServer{startNest(t, "after", env...), startNest(t, "after", env...)}, moim.URL()
		},
	} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			servers, sockets := start(t)
			var ana, bo struct{ Token string }
			servers[0].post("/login", "", `{"user":"ana"}`, &ana)
			servers[1].post("/login", "", `{"user":"bo"}`, &bo)
			var group struct{ ID string }
			servers[0].post("/groups", ana.Token, `{"name":"hike"}`, &group)
			var seen nodeLog
			runScript(t, &seen, nil, filepath.Join(which, "client.mjs"), sockets, ana.Token, group.ID)
			need(t, answerWithin, "the client follows the group", func() bool { return strings.Contains(seen.String(), "following\n") })

			var answer json.RawMessage
			servers[0].post("/groups/"+group.ID+"/join", bo.Token, "", &answer)
			servers[1].post("/groups/"+group.ID+"/messages", bo.Token, `{"text":"hello"}`, &answer)
			const want = "following\nmember.joined bo\nmessage.posted hello\n"
			need(t, answerWithin, "the client sees both changes", func() bool { return len(seen.String()) >= len(want) })
			got := strings.SplitAfter(seen.String(), "\n")
			if which == "before" { // the order of events from two servers varies
				slices.Sort(got)
			}
			if got := strings.Join(got, ""); got != want {
				t.Errorf("the client sees\n%swant\n%s", got, want)
			}
		})
	}
}

// TestNestGuide checks that the guide shows the code of the example.
func TestNestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "nest.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*.ts", "*.mjs"} {
		files, err := filepath.Glob(filepath.Join(nestFolder, "*", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(data)
		}
	}
	blocks := regexp.MustCompile("(?s)```(?:ts|js)\n(.+?)```").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) < 4 {
		t.Errorf("the guide has %d blocks of code", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(code.String(), block[1]) {
			t.Errorf("no file of the example has this:\n%s", block[1])
		}
	}
}
