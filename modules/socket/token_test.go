package socket_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// renewing handles the event "renew", which carries a new token.
func renewing() socket.Handler {
	return socket.On("renew", func(ctx context.Context, s *socket.Socket, token string) (string, error) {
		identity, err := s.Renew(ctx, token)
		return identity.Name, err
	})
}

func TestRenew(t *testing.T) {
	t.Parallel()
	expiring := make(chan time.Time, 4)
	n := start(t, adapter.NewMesh(), renewing(), socket.On("echo", echo),
		socket.OnExpiring(func(_ *socket.Socket, expires time.Time) { expiring <- expires }))
	io, plain := connectIO(t, n, "alice 5s"), connectPlain(t, n, "alice 5s")
	var first time.Time
	for range 2 {
		if at := receive(t, expiring); at.After(first) {
			first = at
		}
	}
	io.ask(`420["renew","bob"]`, `430[{"error":{"code":"forbidden","message":"the token is of another user: connect again with it"}}]`)
	io.ask(`421["renew","bad"]`, `431[{"error":{"code":"unauthenticated","message":"a valid token is needed: send Authorization: Bearer <token>"}}]`)
	io.ask(`422["renew","alice 1h"]`, `432[{"data":"ALICE"}]`)
	plain.ask(`{"id":1,"event":"renew","data":"alice"}`, `{"id":1,"data":"ALICE"}`) // this token never expires
	waittest.Until(t, "the first tokens have expired", func() bool { return time.Now().After(first.Add(100 * time.Millisecond)) })
	io.ask(`423["echo",{}]`, `433[{"data":{"text":"","user":"alice"}}]`)
	plain.ask(`{"id":2,"event":"echo"}`, `{"id":2,"data":{"text":"","user":"alice"}}`)
	io.ask(`424["renew","alice 10ms"]`, `434[{"data":"ALICE"}]`)
	io.want(`41`)
	io.wantClosed(websocket.CloseNoStatusReceived)
}

// revocationStore keeps revocations in memory for several nodes.
type revocationStore struct {
	mu   sync.Mutex
	list []auth.Revocation
}

func (s *revocationStore) Revoke(_ context.Context, userID string, before time.Time, _ ...audit.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, auth.Revocation{UserID: userID, Before: before, At: time.Now()})
	return nil
}

func (s *revocationStore) Revocations(context.Context, time.Time) ([]auth.Revocation, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[:len(s.list):len(s.list)], time.Now(), nil
}

func (*revocationStore) Conceal(context.Context, string) error { return nil }

func (*revocationStore) Pseudonym(userID string) (string, error) {
	return auth.PseudonymPrefix + userID, nil
}

func (s *revocationStore) Forget(context.Context, time.Duration) error { return nil }

// issued accepts tokens like "alice@7", which was issued 7 s after 1970.
func issued(_ context.Context, token string) (auth.Identity, error) {
	user, at, _ := strings.Cut(token, "@")
	seconds, err := strconv.Atoi(at)
	return auth.Identity{UserID: user, Issued: time.Unix(int64(seconds), 0)}, err
}

func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	store, mesh := new(revocationStore), adapter.NewMesh()
	ended := make(chan engine.Reason, 4)
	var (
		nodes   []*node
		revoked []*auth.Revocations
	)
	for range 2 {
		r := auth.NewRevocations(auth.Config{}, store, slog.New(slog.DiscardHandler))
		nodes = append(nodes, serve(t, socket.Deps{
			Hub: adapter.NewHub(mesh.Adapter()), Authenticate: socket.Tokens(r.Guard(issued)), Revocations: r,
		}, renewing(), socket.On("echo", echo), socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- reason })))
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Stop(context.Background()) })
		revoked = append(revoked, r)
	}
	io, plain := connectIO(t, nodes[0], "alice@7"), connectPlain(t, nodes[1], "alice@7")
	later, other := connectPlain(t, nodes[1], "alice@8"), connectPlain(t, nodes[1], "bob@7")
	if err := revoked[0].Revoke(t.Context(), "alice", time.Unix(8, 0)); err != nil {
		t.Fatal(err)
	}
	io.want(`41`)
	io.wantClosed(websocket.CloseNoStatusReceived)
	plain.wantClosed(4006)
	for range 2 {
		if got := receive(t, ended); got != engine.Revoked {
			t.Errorf("the reason is %v", got)
		}
	}
	for i, c := range []*client{later, other} {
		c.ask(`{"id":1,"event":"echo"}`, fmt.Sprintf(`{"id":1,"data":{"text":"","user":%q}}`, []string{"alice", "bob"}[i]))
	}
	refusal := `"error":{"code":"unauthenticated","message":"the token was revoked: sign in again"}`
	later.ask(`{"id":2,"event":"renew","data":"alice@7"}`, `{"id":2,`+refusal+`}`)
	if status, problem := refusedPlain(t, nodes[1], http.Header{"Authorization": {"Bearer alice@7"}}); status != 401 || problem["code"] != "unauthenticated" {
		t.Errorf("a new connection: %d %v", status, problem)
	}
	connectPlain(t, nodes[1], "alice@9").ask(`{"id":1,"event":"echo"}`, `{"id":1,"data":{"text":"","user":"alice"}}`)
}
