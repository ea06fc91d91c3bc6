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

type greeting struct {
	Name string `json:"name"`
}

func greet(_ context.Context, s *socket.Socket, in greeting) (greeting, error) {
	return greeting{Name: "hello, " + in.Name}, s.Join("lobby")
}

// This program uses only sockets, on one node, without groups and users.
func Example() {
	ctx := context.Background()
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	gateway, err := socket.New(socket.Config{}, socket.Deps{Hub: hub, Authenticate: socket.Anonymous},
		socket.On("greet", greet))
	if err != nil {
		fmt.Println(err)
		return
	}
	out := socket.NewEmitter(hub)
	_ = hub.Start(ctx)
	defer func() { _ = hub.Stop(ctx) }()
	_ = gateway.Start(ctx)
	defer func() { _ = gateway.Stop(ctx) }()

	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", gateway.ServeSocketIO)
	mux.HandleFunc("/ws", gateway.ServePlain)
	server := httptest.NewServer(mux)
	defer server.Close()

	// This is a client of the plain endpoint. With socket.io-client, this is
	// socket.emitWithAck("greet", {name: "Ada"}).
	client, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()
	_ = response.Body.Close()
	read := func() {
		_, message, _ := client.ReadMessage()
		fmt.Println(string(message))
	}
	_ = client.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"event":"greet","data":{"name":"Ada"}}`))
	read()
	_ = out.To("lobby").Emit(ctx, "news", map[string]int{"guests": 1})
	read()
	// Output:
	// {"id":1,"data":{"name":"hello, Ada"}}
	// {"event":"news","data":{"guests":1}}
}
