package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
	"go.uber.org/fx/fxtest"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database/databasetest"
)

const secret = "a secret of at least thirty-two bytes"

// TestChat runs the same code on one node and on two. The only difference is the configuration,
// which selects the adapter.
func TestChat(t *testing.T) {
	t.Parallel()
	t.Run("memory adapter", func(t *testing.T) {
		t.Parallel()
		cfg := config.Config{Data: config.Data{Dir: databasetest.Dir(t)}}
		node := startNode(t, cfg)
		checkChat(t, node, node)
	})
	t.Run("redis adapter", func(t *testing.T) {
		t.Parallel()
		cfg := config.Config{Data: config.Data{Dir: t.TempDir()}}
		cfg.Database.URL = pgtest.Start(t).NewDatabase(t)
		cfg.Redis.URL = redistest.Start(t).URL() // selects the Redis adapter
		checkChat(t, startNode(t, cfg), startNode(t, cfg))
	})
}

func checkChat(t *testing.T, first, second string) {
	t.Helper()
	alice, bob := dial(t, first, "alice"), dial(t, second, "bob")
	say(t, alice, `{"id":1,"event":"chat:say","data":{"room":"tea","text":"hello"}}`)
	expect(t, alice, `{"event":"chat:said","data":{"from":"alice","text":"hello"}}`)
	expect(t, alice, `{"id":1,"data":{"from":"alice","text":"hello"}}`)
	say(t, bob, `{"id":1,"event":"chat:say","data":{"room":"tea","text":"hi <all>"}}`)
	expect(t, alice, `{"event":"chat:said","data":{"from":"bob","text":"hi <all>"}}`)
}

// startNode runs the program behind a test listener and returns its address.
func startNode(t *testing.T, cfg config.Config) string {
	t.Helper()
	cfg.Auth.Secret = secret
	router := gin.New()
	program := fxtest.New(t, chat(cfg, router))
	program.RequireStart()
	server := httptest.NewServer(router)
	t.Cleanup(func() {
		program.RequireStop()
		server.Close()
	})
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/ws"
}

func dial(t *testing.T, url, user string) *websocket.Conn {
	t.Helper()
	token, err := auth.Mint([]byte(secret), auth.Identity{UserID: user, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + token}}
	ws, resp, err := dialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, ws *websocket.Conn, want string) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, got, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
