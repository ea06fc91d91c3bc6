// Command chat adds a socket event to Moim in an fx program: a constructor of
// handlers, and one line in the list of options. With MOIM_DATABASE_URL and
// MOIM_REDIS_URL set, the same code runs on many nodes.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/socket"
)

type sayRequest struct{ Room, Text string }

type said struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// newChat returns the handler of chat:say, which joins the sender to the room
// and sends the message to everyone in it.
func newChat(out *socket.Emitter) []socket.Handler {
	return []socket.Handler{
		socket.On("chat:say", func(ctx context.Context, s *socket.Socket, in sayRequest) (said, error) {
			message := said{From: s.UserID(), Text: in.Text}
			if err := s.Join("chat:" + in.Room); err != nil {
				return message, err
			}
			return message, out.To("chat:"+in.Room).Emit(ctx, "chat:said", message)
		}),
	}
}

func chat(cfg config.Config, router *gin.Engine) fx.Option {
	return fx.Options(
		fx.Supply(slog.Default()),
		app.Module(cfg),
		fx.Provide(socket.AsHandlers(newChat)),
		fx.Invoke(func(moim *app.Routes) { moim.Mount(router) }),
	)
}

func main() {
	cfg, err := config.Load(config.Options{Environ: os.Environ()})
	if err == nil {
		cfg, err = app.DevelopmentSecret(cfg, slog.Default())
	}
	router := gin.Default()
	server := &http.Server{Addr: cfg.HTTP.Addr, Handler: router, ReadHeaderTimeout: cfg.Drain.Deadline}
	fx.New(fx.Error(err), chat(cfg, router), fx.Invoke(func(lc fx.Lifecycle) {
		lc.Append(fx.StartStopHook(func() { go func() { _ = server.ListenAndServe() }() }, server.Shutdown))
	})).Run()
}
