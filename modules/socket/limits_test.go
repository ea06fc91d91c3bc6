package socket_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// limited runs a node with limits. add moves its clock.
func limited(t *testing.T, cfg limit.Config, handlers ...socket.Handler) (n *node, add func(time.Duration)) {
	t.Helper()
	var moved atomic.Int64
	began := time.Now()
	limits, err := limit.New(cfg, limit.Deps{Now: func() time.Time { return began.Add(time.Duration(moved.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	identify := func(ctx context.Context, token string) (auth.Identity, error) {
		id, err := verify(ctx, token)
		id.Admin = token == "backend"
		return id, err
	}
	n = serve(t, socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Tokens(identify), Limits: limits}, handlers...)
	return n, func(d time.Duration) { moved.Add(int64(d)) }
}

// endpoints connect a client and write an event with an acknowledgement, in the format of each
// endpoint.
var endpoints = map[string]struct {
	connect func(*testing.T, *node, string) *client
	event   func(id int, name string) string
	refused string // what an answer to a refused event contains
}{
	"socketio": {connectIO, func(id int, name string) string { return fmt.Sprintf(`42%d["%s",{}]`, id, name) }, `43%d[{"error":{"code":"rate_limited"`},
	"plain":    {connectPlain, func(id int, name string) string { return fmt.Sprintf(`{"id":%d,"event":"%s"}`, id, name) }, `{"id":%d,"error":{"code":"rate_limited"`},
}

// TestTooManyRequests checks that requests beyond the rate are not executed, and that the answer
// says when to retry. A socket that does not stop must be closed, and other sockets must not be
// affected.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	for name, e := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ran atomic.Int64
			n, add := limited(t, limit.Config{SocketRequests: limit.Rate{Count: 10, Per: time.Second, Burst: 20}},
				socket.On("count", func(context.Context, *socket.Socket, struct{}) (struct{}, error) {
					ran.Add(1)
					return struct{}{}, nil
				}))
			flooder, bystander, backend := e.connect(t, n, "mallory"), e.connect(t, n, "alice"), e.connect(t, n, "backend")
			refused := 0
			for i := range 50 {
				flooder.write(e.event(i, "count"))
				if answer := flooder.read(); strings.HasPrefix(answer, fmt.Sprintf(e.refused, i)) {
					refused++
					if !strings.Contains(answer, `"retryAfter":1`) {
						t.Fatalf("the answer does not say when to retry: %s", answer)
					}
				}
			}
			if refused < 29 || refused > 31 { // connecting to a namespace counts as a request
				t.Errorf("%d of 50 are refused", refused)
			}
			for i := range 50 {
				backend.write(e.event(i, "count"))
				if answer := backend.read(); strings.Contains(answer, "rate_limited") {
					t.Fatalf("a back end is limited: %s", answer)
				}
			}
			add(time.Second)
			flooder.write(e.event(99, "count"))
			if answer := flooder.read(); strings.Contains(answer, "rate_limited") {
				t.Errorf("after the time that the answer gave: %s", answer)
			}
			closed := make(chan error, 1)
			var refusals atomic.Int64
			go func() {
				for {
					answer, err := flooder.next()
					if err != nil {
						closed <- err
						return
					}
					if strings.Contains(answer, "rate_limited") {
						refusals.Add(1)
					}
				}
			}()
			for deadline := time.Now().Add(3 * patience); len(closed) == 0 && time.Now().Before(deadline); {
				add(time.Second)
				before := refusals.Load()
				for range 30 {
					_ = flooder.ws.WriteMessage(websocket.TextMessage, []byte(e.event(1, "count")))
				}
				bystander.write(e.event(2, "count"))
				if answer := bystander.read(); strings.Contains(answer, "rate_limited") {
					t.Fatalf("a bystander is limited: %s", answer)
				}
				waittest.Until(t, "a request is refused", func() bool { return len(closed) > 0 || refusals.Load() > before })
			}
			err := receive(t, closed)
			if name == "plain" && !websocket.IsCloseError(err, 4005) {
				t.Errorf("closed with %v", err)
			}
		})
	}
}

// TestSocketsOfAUser checks the limit of a user's connections, on both endpoints together. A
// second namespace on a connection does not count.
func TestSocketsOfAUser(t *testing.T) {
	t.Parallel()
	n, _ := limited(t, limit.Config{UserSockets: 2}, socket.In("/other", socket.On("echo", echo))...)
	first := connectIO(t, n, "alice")
	first.write(`40/other,{"token":"alice"}`)
	if answer := first.read(); !strings.HasPrefix(answer, "40/other,") {
		t.Fatalf("a second namespace: %s", answer)
	}
	second := connectPlain(t, n, "alice")
	third := openIO(t, n, nil)
	third.write(`40{"token":"alice"}`)
	if answer := third.read(); !strings.HasPrefix(answer, `44{`) || !strings.Contains(answer, `"data":{"code":"rate_limited","retryAfter":1}`) {
		t.Errorf("a third one: %s", answer)
	}
	refused(t, n, "/ws", http.Header{"Authorization": {"Bearer alice"}}, http.StatusTooManyRequests)
	connectPlain(t, n, "bob")
	for range 3 {
		connectPlain(t, n, "backend")
	}
	_ = second.ws.Close()
	waittest.Until(t, "there is room again", func() bool {
		third.write(`40{"token":"alice"}`)
		return strings.HasPrefix(third.read(), "40{")
	})
}

// TestStrangers checks the limit of an address's connections without a known user.
func TestStrangers(t *testing.T) {
	t.Parallel()
	n, _ := limited(t, limit.Config{AddressPending: 2})
	first := openIO(t, n, nil)
	openIO(t, n, nil)
	for _, path := range []string{"/socket.io/?EIO=4&transport=websocket", "/socket.io/?EIO=4&transport=polling", "/ws"} {
		refused(t, n, path, http.Header{"Authorization": {"Bearer alice"}}, http.StatusTooManyRequests)
	}
	first.write(`40{"token":"alice"}`)
	first.read()
	third := connectPlain(t, n, "bob") // while this one connects
	_ = third.ws.Close()
	openIO(t, n, nil)
	refused(t, n, "/socket.io/?EIO=4&transport=websocket", nil, http.StatusTooManyRequests)
}

func TestHandshakesOfAnAddress(t *testing.T) {
	t.Parallel()
	n, add := limited(t, limit.Config{AddressConnects: limit.Rate{Count: 1, Per: time.Second, Burst: 2}})
	connectIO(t, n, "alice")
	connectPlain(t, n, "alice")
	refused(t, n, "/ws", http.Header{"Authorization": {"Bearer alice"}}, http.StatusTooManyRequests)
	add(time.Second)
	connectPlain(t, n, "alice")
}

func TestFullNode(t *testing.T) {
	t.Parallel()
	n, _ := limited(t, limit.Config{NodeSockets: limit.Share{Cap: 2}})
	connectIO(t, n, "alice")
	there := connectPlain(t, n, "backend")
	refused(t, n, "/ws", http.Header{"Authorization": {"Bearer backend"}}, http.StatusServiceUnavailable)
	there.ask(`{"id":1,"event":"nobody"}`, `{"id":1,"error":{"code":"unknown_event","message":"there is no event of this name"}}`)
}

// refused expects that a handshake is refused with this status and Retry-After.
func refused(t *testing.T, n *node, path string, header http.Header, status int) {
	t.Helper()
	var response *http.Response
	var err error
	if strings.Contains(path, "polling") {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http"+strings.TrimPrefix(n.url, "ws")+path, http.NoBody)
		response, err = http.DefaultClient.Do(request)
	} else {
		var ws *websocket.Conn
		if ws, response, err = websocket.DefaultDialer.DialContext(t.Context(), n.url+path, header); err == nil {
			_ = ws.Close()
		}
	}
	if response == nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != status || response.Header.Get("Retry-After") == "" {
		t.Errorf("%s: status %d, headers %v", path, response.StatusCode, response.Header)
	}
}
