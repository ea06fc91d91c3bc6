package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// startNginx runs nginx with deploy/nginx.conf in front of nodes, and returns its address. Paths
// below /rt/ also lead to the nodes, without that prefix. changes are edits of the file: old text
// and new text alternate.
func startNginx(t *testing.T, nodes []*node, changes ...string) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		skipOrFail(t, err)
	}
	conf, err := os.ReadFile(filepath.Join("..", "..", "deploy", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr()
	text := string(conf)
	changes = append(changes, "node1:8080", nodes[0].addr, "node2:8080", nodes[len(nodes)-1].addr, "listen 80;", "listen "+addr+";", "listen 443", "listen "+addr)
	for change := range slices.Chunk(changes, 2) {
		if !strings.Contains(text, change[0]) && change[0] != "listen 80;" {
			t.Fatalf("deploy/nginx.conf has no %q", change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	_, location, _ := strings.Cut(text, "location / {")
	location, _, _ = strings.Cut(location, "\n    }\n")
	prefixed := "\n    location /rt/ {" + strings.Replace(location, "proxy_pass http://moim;", "proxy_pass http://moim/;", 1) + "\n    }\n"
	text = strings.TrimSuffix(strings.TrimSpace(text), "}") + prefixed + "}\n"

	dir := t.TempDir()
	main := fmt.Sprintf("pid %s/pid; error_log stderr; events {} http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;\n"+
		"fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%s}", dir, text)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-c", file, "-p", dir, "-e", "stderr", "-g", "daemon off; user root;")
	var log bytes.Buffer
	cmd.Stderr = &log
	childtest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx:\n%s", log.String())
		}
	})
	need(t, startWithin, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr
}

func status(url string) int {
	res, err := (&http.Client{Timeout: answerWithin}).Get(url)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// statusOfMade creates a group, and returns the status of the URL in Location.
func statusOfMade(t *testing.T, a api) int {
	t.Helper()
	call := func(method, url, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.token)
		req.Header.Set("Content-Type", "application/json")
		res, err := httpClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	made, err := call(http.MethodPost, a.base+"/v1/groups", `{"name":"found by its Location"}`).Location()
	if err != nil {
		t.Fatal(err)
	}
	return call(http.MethodGet, made.String(), "").StatusCode
}

// TestBehindNginx checks that the configuration in deploy/ serves every kind of client without
// sticky sessions, even below a prefix that nginx removes.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	redis, database := redistest.Start(t), pgtest.Start(t).NewDatabase(t)
	var nodes []*node
	for range 2 {
		n := newNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+database, "MOIM_HTTP_PROXIES=127.0.0.0/8")
		n.env = append(n.env, "MOIM_NODE_URL="+n.URL())
		n.run()
		if err := n.ready(); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	addr, driver := startNginx(t, nodes), startDriver(t)
	for name, prefix := range map[string]string{"at the root": "", "below a prefix": "/rt"} {
		t.Run(name, func(t *testing.T) {
			base := "http://" + addr
			alice := api{base: base + prefix, token: mint("alice", time.Hour)}
			var g group
			alice.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "behind nginx"}, &g)
			if got := statusOfMade(t, alice); got != http.StatusOK {
				t.Errorf("the Location of a new group answers %d", got)
			}
			for _, path := range []string{"/", "/docs", "/openapi.json", "/readyz", "/console/assets/page.css", "/console/", "/console/audit"} {
				if got := status(base + prefix + path); got != http.StatusOK {
					t.Errorf("%s answers %d", prefix+path, got)
				}
			}
			io := func(transports ...string) endpoint {
				return endpoint{name: strings.Join(transports, "+"), open: func(ctx context.Context, base, token string, l listener) (conn, error) {
					return driver.open(ctx, base, ioOptions{
						Auth: object{"token": token}, Transports: transports, Path: prefix + "/socket.io/", Reconnection: true, ReconnectionDelay: 50,
					}, l)
				}}
			}
			below := endpoint{name: "/ws", open: func(ctx context.Context, base, token string, l listener) (conn, error) {
				return openPlain(ctx, base+prefix, token, l)
			}}
			var clients []*client
			for _, e := range []endpoint{io("polling"), io("polling", "websocket"), io("websocket"), below} {
				c := &client{inbox: newInbox("alice " + e.name), t: t, user: "alice"}
				opened, err := e.open(t.Context(), base, alice.token, c.inbox)
				if err != nil {
					t.Fatalf("%s: %v", e.name, err)
				}
				t.Cleanup(opened.close)
				c.conn = opened
				c.subscribe(g.ID)
				clients = append(clients, c)
			}
			for i := range 20 {
				alice.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": i}, nil)
			}
			for _, c := range clients {
				c.needVersion(g.ID, 21, answerWithin)
				for _, fault := range c.faults() {
					t.Errorf("%s: %s", c.name, fault)
				}
			}
		})
	}
	t.Run("a client cannot make up its address", func(t *testing.T) {
		dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + mint("mallory", time.Hour)}}
		ws, _, err := dialer.DialContext(t.Context(), "ws://"+addr+"/ws", http.Header{"Forwarded": {"for=192.0.2.9"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		boss := api{base: "http://" + addr, token: mint("boss", time.Hour, `"scope":"admin"`)}
		var user struct {
			Sockets []struct{ Address string }
		}
		boss.must(t, http.StatusOK, http.MethodGet, "/users/mallory", nil, &user)
		if len(user.Sockets) != 1 || strings.HasPrefix(user.Sockets[0].Address, "192.0.2.9") {
			t.Errorf("sockets: %+v", user.Sockets)
		}
	})
	for _, path := range []string{"/metrics", "/rt/metrics", "//metrics", "/rt/%6detrics"} {
		if got := status("http://" + addr + path); got != http.StatusNotFound {
			t.Errorf("%s answers %d to the outside", path, got)
		}
	}
}
