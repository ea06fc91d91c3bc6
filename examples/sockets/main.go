// Command sockets adds only Moim's socket module to an existing gin program. It
// has typed events and rooms for socket.io-client and plain WebSockets, but no
// groups, database, Redis or fx.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

type moved struct {
	X int `json:"x"`
	Y int `json:"y"`
}

// mount adds the socket endpoints to a router.
func mount(router gin.IRouter) (*socket.Gateway, error) {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	out := socket.NewEmitter(hub)
	gateway, err := socket.New(
		socket.Config{},
		socket.Deps{Hub: hub, Emitter: out, Authenticate: socket.Anonymous, Log: slog.Default()},
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
			return s.Join("board")
		}),
		socket.On("cursor:move", func(ctx context.Context, _ *socket.Socket, in moved) (struct{}, error) {
			return struct{}{}, out.To("board").Emit(ctx, "cursor:moved", in)
		}),
	)
	if err != nil {
		return nil, err
	}
	router.Any("/socket.io/", gin.WrapF(gateway.ServeSocketIO))
	router.GET("/ws", gin.WrapF(gateway.ServePlain))
	return gateway, nil
}

func main() {
	router := gin.Default()
	router.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "the program that was here before") })
	gateway, err := mount(router)
	if err == nil {
		err = gateway.Start(context.Background())
	}
	if err != nil {
		slog.Error("sockets: cannot start", "err", err)
		os.Exit(1)
	}
	server := &http.Server{Addr: "127.0.0.1:8081", Handler: router, ReadHeaderTimeout: 10 * time.Second}
	slog.Error("sockets: stopped", "err", server.ListenAndServe())
}
