package e2e

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestEmbedded runs the main job on one node without configuration. The node must keep what it
// acknowledged.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	d := &deployment{nodes: []*node{n}, driver: startDriver(t), token: tokensOf(n)}
	began := time.Now()
	groupID := mainJob(t, d)
	t.Logf("the main job took %s on one embedded node", time.Since(began).Round(time.Millisecond))
	badTokensAreRefused(t, d)
	aRestartLosesNothing(t, d, groupID)
}

// tokensOf makes tokens with moim token, as a developer does.
func tokensOf(n *node) func(user string) string {
	var mu sync.Mutex
	tokens := make(map[string]string)
	return func(user string) string {
		mu.Lock()
		defer mu.Unlock()
		if tokens[user] == "" {
			out, err := n.command("token", "--user", user).Output()
			if err != nil {
				n.t.Errorf("moim token --user %s: %v", user, err)
			}
			tokens[user] = strings.TrimSpace(string(out))
		}
		return tokens[user]
	}
}

func badTokensAreRefused(t *testing.T, d *deployment) {
	t.Helper()
	url := d.node(0).URL()
	good := ioOptions{Auth: object{"token": d.token("ana")}, Transports: []string{"websocket"}}
	for name, c := range map[string]struct {
		url     string
		options ioOptions
		message string // empty: any
		code    string
	}{
		"no token":          {url: url, options: ioOptions{Transports: good.Transports}, code: "unauthenticated"},
		"a broken token":    {url: url, options: ioOptions{Transports: good.Transports, Auth: object{"token": d.token("ana") + "x"}}, code: "unauthenticated"},
		"another's key":     {url: url, options: ioOptions{Transports: good.Transports, Auth: object{"token": mint("ana", time.Hour)}}, code: "unauthenticated"},
		"unknown namespace": {url: url + "/admin", options: good, message: "Invalid namespace"},
	} {
		_, err := d.driver.open(t.Context(), c.url, c.options, newInbox(name))
		refused, ok := errors.AsType[*connectError](err)
		if !ok || refused.Data.Code != c.code || c.message != "" && refused.Message != c.message {
			t.Errorf("%s: %v, want connect_error %q with code %q", name, err, c.message, c.code)
		}
	}
	if _, err := openPlain(t.Context(), url, "nonsense", newInbox("bad token")); err == nil {
		t.Error("/ws accepted a bad token")
	} else if refused, ok := errors.AsType[*apiError](err); !ok || refused.Status != http.StatusUnauthorized || refused.Code != "unauthenticated" {
		t.Errorf("/ws refused a bad token with %v, want 401 unauthenticated", err)
	}
}

// aRestartLosesNothing stops the node with SIGTERM and starts it again. The data must be there,
// and socket.io-client must reconnect by itself and miss no event.
func aRestartLosesNothing(t *testing.T, d *deployment, groupID string) {
	t.Helper()
	n := d.node(0)
	ana, cy := d.io(t, 0, "ana"), d.ws(t, 0, "cy")
	before := ana.subscribe(groupID).Version
	cy.subscribe(groupID)

	began := time.Now()
	n.Terminate()
	t.Logf("SIGTERM to exit code 0 took %s with open sockets", time.Since(began).Round(time.Millisecond))
	need(t, soon, "the sockets notice the drain", func() bool { return len(ana.disconnects()) > 0 && len(cy.disconnects()) > 0 })
	if got := ana.disconnects()[0]; got != "transport close" {
		t.Errorf("socket.io-client was disconnected by %q, want transport close, after which it reconnects", got)
	}
	if got := cy.disconnects()[0]; got != "4001" {
		t.Errorf("/ws was closed with %s, want 4001", got)
	}
	n.Restart()
	need(t, soon, "socket.io-client connects again by itself", func() bool { return ana.connections() == 2 })

	var e event
	d.api(0, "cy").must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{"text": "back"}}, &e)
	if e.Version != before+1 {
		t.Errorf("the first change after the restart has version %d, want %d", e.Version, before+1)
	}
	ana.resume(groupID, before)
	ana.needVersion(groupID, e.Version, soon)
	ana.must("group:message", object{"groupId": groupID, "data": object{}}, &e)
	ana.needVersion(groupID, e.Version, soon)
}
