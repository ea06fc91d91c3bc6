package socket_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// newChat is a constructor of handlers, like those of a program.
func newChat(out *socket.Emitter) []socket.Handler {
	return []socket.Handler{socket.On("say", func(ctx context.Context, s *socket.Socket, text string) (struct{}, error) {
		return struct{}{}, out.ToUser(s.UserID()).Emit(ctx, "said", text)
	})}
}

func TestModule(t *testing.T) {
	t.Parallel()
	var g *socket.Gateway
	app := fxtest.New(t,
		fx.Supply(socket.Config{}, slog.New(slog.DiscardHandler), socket.Origins{Allowed: []string{"*"}}),
		fx.Provide(
			func() adapter.Adapter { return adapter.NewMesh().Adapter() },
			func() socket.Authenticator { return socket.Anonymous },
			socket.AsHandlers(newChat),
		),
		socket.Module,
		fx.Populate(&g),
	)
	app.RequireStart()
	server := httptest.NewServer(g)
	defer server.Close()
	c := dial(t, &node{url: "ws" + strings.TrimPrefix(server.URL, "http")}, "/ws", nil)
	c.write(`{"id":1,"event":"say","data":"hi"}`)
	c.want(`{"event":"said","data":"hi"}`, `{"id":1,"data":{}}`)
	app.RequireStop()
}
