package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestToken checks that moim token prints a token that its node accepts, for a user or a back
// end.
func TestToken(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_AUDIENCE=moim")
	out, err := n.command("token", "--user", "alice", "--scope", "admin", "--ttl", "1h").Output()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(out))
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("moim token prints %q, want a token alone", out)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Sub, Scope string
		Exp        int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	left := time.Until(time.Unix(claims.Exp, 0))
	if claims.Sub != "alice" || claims.Scope != "admin" || left < 55*time.Minute || left > time.Hour {
		t.Errorf("claims %+v, %s left", claims, left)
	}

	// A back end may change groups without being a member.
	ordinary := api{base: n.URL(), token: tokensOf(n)("bo")}
	var g group
	ordinary.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Private"}, &g)
	backend := api{base: n.URL(), token: token}
	backend.must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID, nil, &g)
	backend.must(t, http.StatusOK, http.MethodPost, "/groups/"+g.ID+"/members", object{"userIds": []string{"cy"}}, nil)
	backend.must(t, http.StatusNoContent, http.MethodPost, "/users/bo/disconnect", nil, nil)
	ordinary.mustRefuse(t, http.StatusForbidden, "forbidden", http.MethodPost, "/users/cy/disconnect", nil)
}

// TestDisconnect checks that a back end can close all sockets of a user, and that
// socket.io-client does not reconnect.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	d := &deployment{nodes: []*node{n}, driver: startDriver(t), token: func(user string) string { return mint(user, time.Hour) }}
	first, second, other := d.io(t, 0, "bo"), d.ws(t, 0, "bo"), d.ws(t, 0, "ana")
	backend := api{base: n.URL(), token: mint("billing", time.Hour, `"scope":"admin"`)}
	backend.must(t, http.StatusNoContent, http.MethodPost, "/users/bo/disconnect", nil, nil)
	need(t, soon, "both sockets of bo are closed", func() bool { return len(first.disconnects()) == 1 && len(second.disconnects()) == 1 })
	if got := first.disconnects()[0]; got != "io server disconnect" {
		t.Errorf("socket.io-client was disconnected by %q, want io server disconnect", got)
	}
	if got := second.disconnects()[0]; got != "4004" {
		t.Errorf("/ws was closed with %s, want 4004", got)
	}
	other.mustRefuse("unknown_event", "still:here", object{})
	if got := other.disconnects(); len(got) > 0 {
		t.Errorf("another user's socket was closed: %v", got)
	}
}

// TestExpiry checks that a socket is closed when its token expires.
func TestExpiry(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	began := time.Now()
	c := connect(t, plain, n, "bo", mint("bo", 10*time.Second))
	need(t, 10*time.Second+soon, "the socket is closed", func() bool { return len(c.disconnects()) == 1 })
	if got := c.disconnects()[0]; got != "4003" {
		t.Errorf("/ws was closed with %s, want 4003", got)
	}
	t.Logf("a token for 10s kept its socket for %s", time.Since(began).Round(time.Millisecond))
	_, err := openPlain(t.Context(), n.URL(), mint("bo", -time.Hour), newInbox("expired"))
	checkRefusal(t, "an expired token", err, "unauthenticated")
}

// TestConfigHidesSecrets checks that moim config shows the effective configuration without
// secrets.
func TestConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	n := newNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL=redis://user:hunter2@127.0.0.1:1/0",
		"MOIM_REDIS_CACHE_URL=rediss://:hunter3@127.0.0.1:2", "MOIM_DATABASE_URL=postgres://moim:hunter4@127.0.0.1:3/moim?password=hunter5")
	if err := os.WriteFile(filepath.Join(n.dir, "moim.yaml"), []byte("redis:\n  prefix: filed\ncache:\n  ttl: 7m\ngroup:\n  presence:\n    grace: 11s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := n.command("config", "--cache-ttl", "8m").CombinedOutput()
	if err != nil {
		t.Fatalf("moim config: %v\n%s", err, out)
	}
	text := string(out)
	for _, hidden := range []string{secret, "hunter2", "hunter3", "hunter4", "hunter5"} {
		if strings.Contains(text, hidden) {
			t.Errorf("moim config prints the secret %q:\n%s", hidden, text)
		}
	}
	// A flag beats the environment, which beats the file, which beats the default.
	for _, shown := range []string{"127.0.0.1:1", "filed", "8m", "11s", n.addr} {
		if !strings.Contains(text, shown) {
			t.Errorf("moim config does not print %q:\n%s", shown, text)
		}
	}
}

// TestVersion checks that moim version prints the version.
func TestVersion(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	out, err := n.command("version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "moim") {
		t.Errorf("moim version: %q, %v", out, err)
	}
}

// TestRefusedConfiguration checks that a node refuses to start with an invalid or unsafe
// configuration, and names the mistake.
func TestRefusedConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		env  []string
		args []string
		says []string
	}{
		"unknown key in the file":    {file: "htp:\n  addr: 127.0.0.1:1\n", says: []string{"htp"}},
		"unknown environment":        {env: []string{"MOIM_REDIS_SOKET_URL=redis://127.0.0.1:1"}, says: []string{"MOIM_REDIS_SOKET_URL"}},
		"unknown flag":               {args: []string{"--redis-soket-url", "x"}, says: []string{"--redis-soket-url"}},
		"a value of the wrong type":  {env: []string{"MOIM_CACHE_TTL=soon"}, says: []string{"MOIM_CACHE_TTL"}},
		"several mistakes at once":   {env: []string{"MOIM_AUTH_SECRET=short", "MOIM_SOCKET_MAX_FRAME=-1"}, says: []string{"auth.secret", "socket.max.frame"}},
		"open to all without a key":  {env: []string{"MOIM_HTTP_ADDR=0.0.0.0:0"}, says: []string{"auth"}},
		"socket role without group":  {env: []string{"MOIM_REDIS_SOCKET_URL=redis://127.0.0.1:1"}, says: []string{"redis.group.url", "socket role"}},
		"a database of unknown kind": {env: []string{"MOIM_DATABASE_URL=mysql://127.0.0.1:1/x"}, says: []string{"database.url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, c.env...)
			if c.file != "" {
				if err := os.WriteFile(filepath.Join(n.dir, "moim.yaml"), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			printed := n.refused(startWithin, c.args...)
			for _, word := range c.says {
				if !strings.Contains(printed, word) {
					t.Errorf("the refusal does not name %s:\n%s", word, printed)
				}
			}
		})
	}
}
