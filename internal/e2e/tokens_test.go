package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// mintIssued mints a token that was issued some time ago.
func mintIssued(user string, ago time.Duration, claims ...string) string {
	return mint(user, time.Hour, append(claims, fmt.Sprintf(`"iat":%d`, time.Now().Add(-ago).Unix()))...)
}

// TestRevoke makes a back end revoke a user's tokens on one of three nodes while the socket role
// is down. All nodes must close the user's sockets, refuse the tokens, and accept a new one.
func TestRevoke(t *testing.T) {
	t.Parallel()
	shared, sockets := redistest.Start(t), redistest.Start(t)
	env := []string{"MOIM_REDIS_URL=" + shared.URL(), "MOIM_REDIS_SOCKET_URL=" + sockets.URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	d := startCluster(t, 3, env...)
	d.token = func(user string) string { return mintIssued(user, time.Minute) }
	sockets.Kill()
	io, ws, other := d.io(t, 1, "bo"), d.ws(t, 2, "bo"), d.ws(t, 2, "ana")
	later := connect(t, plain, d.node(2), "bo", mintIssued("bo", -5*time.Second)) // issued in the future, because clocks may differ
	backend := api{base: d.node(0).URL(), token: mint("billing", time.Hour, `"scope":"admin"`)}
	d.api(0, "bo").mustRefuse(t, http.StatusForbidden, "forbidden", http.MethodPost, "/users/bo/revoke", nil)
	began := time.Now()
	backend.must(t, http.StatusNoContent, http.MethodPost, "/users/bo/revoke", nil, nil)
	need(t, soon, "both sockets of bo are closed", func() bool { return len(io.disconnects()) == 1 && len(ws.disconnects()) == 1 })
	t.Logf("the sockets were closed after %s", time.Since(began).Round(time.Millisecond))
	if got := io.disconnects()[0]; got != "io server disconnect" {
		t.Errorf("socket.io-client was disconnected by %q, want io server disconnect, after which it does not reconnect", got)
	}
	if got := ws.disconnects()[0]; got != "4006" {
		t.Errorf("/ws was closed with %s, want 4006", got)
	}
	for i := range 3 {
		d.api(i, "bo").mustRefuse(t, http.StatusUnauthorized, "unauthenticated", http.MethodGet, "/me/groups", nil)
		_, err := openPlain(t.Context(), d.node(i).URL(), d.token("bo"), newInbox("revoked"))
		checkRefusal(t, "a revoked token", err, "unauthenticated")
		api{base: d.node(i).URL(), token: mintIssued("bo", -5*time.Second)}.must(t, http.StatusOK, http.MethodGet, "/me/groups", nil, nil)
	}
	for _, c := range []*client{other, later} {
		c.mustRefuse("unknown_event", "still:here", object{})
		if got := c.disconnects(); len(got) > 0 {
			t.Errorf("a socket whose token is valid was closed: %v", got)
		}
	}
	restarted := startNode(t, append(env, "MOIM_AUTH_SECRET="+secret)...)
	api{base: restarted.URL(), token: d.token("bo")}.mustRefuse(t, http.StatusUnauthorized, "unauthenticated", http.MethodGet, "/me/groups", nil)
}

// TestRenew sends a new token over an open socket. The socket must stay open after the first
// token has expired.
func TestRenew(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	driver := startDriver(t)
	expires := time.Now().Add(10 * time.Second)
	for _, e := range []endpoint{plain, driver.endpoint(true)} {
		c := connect(t, e, n, "bo", mint("bo", 10*time.Second))
		need(t, soon, "the client is told that its token expires", func() bool { return len(c.pushes("token:expiring")) == 1 })
		c.mustRefuse("forbidden", "auth", object{"token": mint("ana", time.Hour)})
		c.mustRefuse("validation_failed", "auth", object{})
		var renewed struct{ ExpiresAt time.Time }
		c.must("auth", object{"token": mint("bo", time.Hour, `"name":"Bo the Second"`)}, &renewed)
		if left := time.Until(renewed.ExpiresAt); left < 55*time.Minute || left > time.Hour {
			t.Errorf("the new token lasts for %s", left)
		}
		var made struct{ ID string }
		c.must("group:create", object{"name": "Boat"}, &made)
		var bo struct{ Name string }
		api{base: n.URL(), token: mint("bo", time.Hour)}.must(t, http.StatusOK, http.MethodGet, "/groups/"+made.ID+"/members/bo", nil, &bo)
		if bo.Name != "Bo the Second" {
			t.Errorf("the socket creates a group as %q, not by the name in the new token", bo.Name)
		}
		need(t, 10*time.Second+soon, "the first token has expired", func() bool { return time.Now().After(expires.Add(time.Second)) })
		c.mustRefuse("unknown_event", "still:here", object{})
	}
}
