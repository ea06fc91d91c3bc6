package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/socket"
)

// TestRequestsOfSocketsHaveIDs checks that the log has the request ids of socket events.
func TestRequestsOfSocketsHaveIDs(t *testing.T) {
	t.Parallel()
	out := &childtest.Log{}
	router := gin.New()
	start(t, config.Config{}, router, app.WithLogger(slog.New(slog.NewTextHandler(out, nil))),
		app.WithHandlers(socket.On("fail", func(context.Context, *socket.Socket, struct{}) (struct{}, error) {
			return struct{}{}, errors.New("broken on purpose")
		})))
	server := serve(t, router)

	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + tokenOf(t)}}
	conn, resp, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("the answer to the upgrade names no request")
	}
	for range 2 {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"event":"fail"}`)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	ids := regexp.MustCompile(`broken on purpose.* requestId=([0-9a-f]{32})`).FindAllStringSubmatch(out.String(), -1)
	if len(ids) != 2 || ids[0][1] == ids[1][1] {
		t.Errorf("the requests of the socket have the ids %v:\n%s", ids, out)
	}

	_, resp, err = websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
	if err == nil {
		t.Fatal("a client without a token is admitted")
	}
	var problem struct{ RequestID string }
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil || problem.RequestID == "" || problem.RequestID != resp.Header.Get("X-Request-Id") {
		t.Errorf("a refused handshake: request %q, %v, in the header %q", problem.RequestID, err, resp.Header.Get("X-Request-Id"))
	}
}
