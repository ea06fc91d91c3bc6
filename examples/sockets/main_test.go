package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

// TestSockets moves a cursor in one window and checks that the other window sees it. It also
// calls the program's own route.
func TestSockets(t *testing.T) {
	t.Parallel()
	router := gin.New()
	router.GET("/", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	gateway, err := mount(router)
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(router)
	t.Cleanup(func() {
		if err := gateway.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		server.Close()
	})

	first, second := open(t, server), open(t, server)
	// The answer shows that the second window is in the room.
	exchange(t, second, `{"id":1,"event":"cursor:move","data":{"x":1,"y":1}}`, `{"id":1,"data":{}}`)
	exchange(t, first, `{"event":"cursor:move","data":{"x":3,"y":4}}`, "")
	exchange(t, second, "", `{"event":"cursor:moved","data":{"x":3,"y":4}}`)
}

func open(t *testing.T, server *httptest.Server) *websocket.Conn {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// exchange sends a message and reads until want arrives. It skips a step whose
// argument is empty.
func exchange(t *testing.T, ws *websocket.Conn, send, want string) {
	t.Helper()
	if send != "" {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(send)); err != nil {
			t.Fatal(err)
		}
	}
	for want != "" {
		_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, got, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if string(got) == want {
			return
		}
	}
}
