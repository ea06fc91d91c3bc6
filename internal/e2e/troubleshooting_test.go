package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTroubleshooting checks that users see the errors that docs/troubleshooting.md describes.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	valid := mint("bob", time.Hour)
	var g group
	api{base: n.URL(), token: mint("alice", time.Hour)}.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "private"}, &g)
	const foreign, handshake = "Origin: https://app.example.com", "/socket.io/?EIO=4&transport="
	for _, c := range []struct {
		path, header string
		status       int
		says         string
	}{
		{handshake + "polling", foreign, http.StatusForbidden, "this origin is not allowed: add it to http.origins"},
		{handshake + "polling&sid=abc", "", http.StatusBadRequest, "Session ID unknown"},
		{handshake + "websocket", "", http.StatusBadRequest, "Bad request"},
		{"/socket.io/?EIO=3&transport=polling", "", http.StatusBadRequest, "Unsupported protocol version"},
		{"/ws", "", http.StatusUpgradeRequired, "this endpoint needs a WebSocket handshake over HTTP/1.1"},
		{"/v1/me/groups", "", http.StatusUnauthorized, "a valid token is needed"},
		{"/v1/me/groups", "Authorization: Bearer " + valid[:len(valid)-8] + "AAAAAAAA", http.StatusUnauthorized, "the token's signature is wrong"},
		{"/v1/me/groups", "Authorization: Bearer abc", http.StatusUnauthorized, "the token is not a JSON Web Token that can be read"},
		{"/v1/me/groups", "Authorization: Bearer " + mint("bob", -time.Hour), http.StatusUnauthorized, "the token has expired"},
		{"/v1/groups/" + g.ID, "Authorization: Bearer " + valid, http.StatusNotFound, "there is no such thing, or not for you"},
		{"/rt/v1/me/groups", "Authorization: Bearer " + valid, http.StatusNotFound, "there is no such route"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			req.Header.Set(name, value)
		}
		res, err := httpClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %s %s %v, want %d %q", c.path, res.Status, body, err, c.status, c.says)
		}
		quoted(t, doc, c.says)
	}
	quoted(t, doc, "engine: refused an origin")
	for _, c := range []struct{ setting, says string }{
		{"MOIM_HTTP_ADDR=0.0.0.0:1", "http.addr: without any auth key it must be a loopback address"},
		{"MOIM_HTTP_ADRR=x", "MOIM_HTTP_ADRR: there is no such key; did you mean MOIM_HTTP_ADDR?"},
		{"MOIM_AUTH_SECRET=short", "auth.secret: it has 5 bytes and must have at least 32"},
		{"MOIM_HTTP_ORIGINS=https://a.example/path", `"https://a.example/path" is not an origin`},
		{"MOIM_DATA_DIR=" + filepath.Join(n.dir, "data"), "open: stop it first"},
	} {
		if said := newNode(t, c.setting).refused(startWithin); !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, want %q", c.setting, said, c.says)
		}
		quoted(t, doc, c.says)
	}
	taken := newNode(t)
	taken.addr = n.addr
	if said := taken.refused(startWithin); !strings.Contains(said, "bind: address already in use") {
		t.Error(said)
	}
	quoted(t, doc, "bind: address already in use")
	if log := n.log.String(); !strings.Contains(log, "engine: refused an origin") {
		t.Errorf("the log names no origin:\n%s", log)
	}
}

// quoted checks that a document contains a message.
func quoted(t *testing.T, doc []byte, message string) {
	t.Helper()
	if !strings.Contains(string(doc), message) {
		t.Errorf("docs/troubleshooting.md does not quote %q", message)
	}
}
