package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// endpoint is the HTTP endpoint of a service.
type endpoint struct {
	*servicetest.Bench
	handler      http.Handler
	disconnected []string
	sockets      []socket.Info // of all users
	missing      []string      // nodes that do not answer
	revoked      []string      // user id and time of each revocation
	revokeFails  error
}

func (d *endpoint) DisconnectUser(_ context.Context, userID string) error {
	d.disconnected = append(d.disconnected, userID)
	return nil
}

func (d *endpoint) SocketsOfUser(context.Context, string) ([]socket.Info, []string, error) {
	if len(d.missing) > 0 {
		return d.sockets, d.missing, socket.ErrIncomplete
	}
	return d.sockets, nil, nil
}

func (d *endpoint) Nodes(context.Context) ([]json.RawMessage, []string) {
	return []json.RawMessage{[]byte(`{"id":"n1","sockets":3,"lateness":2.5}`), []byte(`"a node of another version"`)}, d.missing
}

func (d *endpoint) Revoke(ctx context.Context, userID string, before time.Time, recorded ...audit.Entry) error {
	if d.revokeFails != nil {
		return d.revokeFails
	}
	for _, e := range recorded {
		if err := d.Store.Record(ctx, e); err != nil {
			return err
		}
	}
	d.revoked = append(d.revoked, userID+" "+before.UTC().Format(time.RFC3339Nano))
	return nil
}

func newEndpoint(t *testing.T, presence ...group.PresenceKeeper) *endpoint {
	t.Helper()
	d := &endpoint{Bench: servicetest.New(t, group.Config{})}
	for _, p := range presence {
		d.Service = group.NewService(group.Config{}, group.Deps{Repository: d.Store, Log: d.Store, Announcer: d, Signaler: d, Presence: p})
	}
	verifier, err := auth.New(auth.Config{Secret: string(secret)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	routes := web.New(engine, web.Config{}, verifier.Verify, slog.New(slog.DiscardHandler))
	routes.Own(engine)
	api.NewController(d.Service, d, d, d, d.Store).Register(routes)
	d.handler = engine
	return d
}

type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request. Each header has the form "Name: value".
func (d *endpoint) do(t *testing.T, who auth.Identity, method, path, body string, headers ...string) reply {
	t.Helper()
	who.Expires = time.Now().Add(time.Minute)
	token, err := auth.Mint(secret, who)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, "/v1"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	raw, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{rec.Code, rec.Result().Header, strings.TrimSpace(string(raw))}
}

// problem returns the status, the code and the fields of a problem, as "status code field
// field".
func (r reply) problem(t *testing.T) string {
	t.Helper()
	if r.status < 300 {
		return fmt.Sprint(r.status)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("an error of type %s: %s", ct, r.body)
	}
	p := servicetest.Decode[web.Problem](t, r.body)
	parts := []string{fmt.Sprint(p.Status), p.Code}
	for _, f := range p.Errors {
		parts = append(parts, f.Field)
	}
	return strings.Join(parts, " ")
}
