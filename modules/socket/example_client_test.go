package socket_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// site is a running program that the examples of this package connect to.
type site struct {
	url  string
	stop func()
}

// host serves the handlers on a node with this hub. Example shows these steps.
func host(hub *adapter.Hub, who socket.Authenticator, handlers ...socket.Handler) site {
	ctx := context.Background()
	gateway, err := socket.New(socket.Config{}, socket.Deps{Hub: hub, Authenticate: who}, handlers...)
	check(err)
	check(hub.Start(ctx))
	check(gateway.Start(ctx))
	server := httptest.NewServer(http.HandlerFunc(gateway.ServePlain))
	return site{url: "ws" + strings.TrimPrefix(server.URL, "http"), stop: func() {
		check(gateway.Stop(ctx))
		check(hub.Stop(ctx))
		server.Close()
	}}
}

// visitor is a client of the plain endpoint.
type visitor struct{ conn *websocket.Conn }

// connect opens a client with a token. If it is refused, connect returns the status.
func (s site) connect(token string) (visitor, int) {
	conn, response, err := websocket.DefaultDialer.Dial(s.url, http.Header{"Authorization": {"Bearer " + token}})
	if response != nil {
		_ = response.Body.Close()
	}
	if err != nil && response != nil {
		return visitor{}, response.StatusCode
	}
	check(err)
	return visitor{conn}, response.StatusCode
}

// visit connects a client that must not be refused.
func (s site) visit(token string) visitor {
	v, status := s.connect(token)
	if status != http.StatusSwitchingProtocols {
		panic(fmt.Sprint("refused: ", status))
	}
	return v
}

func (v visitor) send(message string) {
	check(v.conn.WriteMessage(websocket.TextMessage, []byte(message)))
}

// receive returns the next message.
func (v visitor) receive() string {
	_, message, err := v.conn.ReadMessage()
	check(err)
	return string(message)
}

// ask sends a message and returns the next one, which answers it.
func (v visitor) ask(message string) string {
	v.send(message)
	return v.receive()
}

func (v visitor) close() { _ = v.conn.Close() }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
