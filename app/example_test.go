package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/modules/socket"
)

// quiet keeps the log out of the output of the examples.
var quiet = app.WithLogger(slog.New(slog.DiscardHandler))

// A gin program mounts Moim next to its own routes, and sends events from any place in its code.
func ExampleNew() {
	ctx := context.Background()
	cfg, remove := settings()
	defer remove()
	enter := socket.OnConnect(func(_ context.Context, s *socket.Socket) error { return s.Join("lobby") })
	moim, err := app.New(cfg, quiet, app.WithHandlers(enter))
	check(err)

	router := gin.New()
	router.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "the program that was here before") })
	router.POST("/news", func(c *gin.Context) { check(moim.Emitter.To("lobby").Emit(c, "news", "hello")) })
	moim.Mount(router.Group("/rt"))
	check(moim.Start(ctx))
	defer func() { check(moim.Stop(ctx)) }()
	server := httptest.NewServer(router)
	defer server.Close()

	fmt.Println(visit(server.URL + "/"))
	status, _ := visit(server.URL + "/rt/readyz")
	fmt.Println("ready:", status)
	client := connect(server, "/rt/ws", tokenFor(cfg, "ada"))
	defer client.close()
	router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/news", nil))
	fmt.Println("ada hears:", client.hear("news"))
	// Output:
	// 200 the program that was here before
	// ready: 200
	// ada hears: "hello"
}

// newGreeter is a constructor for fx. It takes its dependencies as arguments and returns the
// handlers of its events.
func newGreeter(log *slog.Logger) []socket.Handler {
	return []socket.Handler{
		socket.On("greet", func(_ context.Context, s *socket.Socket, name string) (string, error) {
			log.Info("greeter: somebody is greeted")
			return s.UserID() + " greets " + name, nil
		}),
	}
}

// In an fx program, Moim is one line in the list of options. The program keeps its logger, its
// router and its listener.
func ExampleModule() {
	ctx := context.Background()
	cfg, remove := settings()
	defer remove()
	router := gin.New()
	program := fx.New(
		fx.NopLogger,
		fx.Supply(slog.New(slog.DiscardHandler)),
		app.Module(cfg),
		fx.Provide(socket.AsHandlers(newGreeter)),
		fx.Invoke(func(moim *app.Routes) { moim.Mount(router) }),
	)
	check(program.Start(ctx))
	defer func() { check(program.Stop(ctx)) }()
	server := httptest.NewServer(router)
	defer server.Close()

	client := connect(server, "/ws", tokenFor(cfg, "ada"))
	defer client.close()
	fmt.Println(client.ask("greet", `"bob"`))
	// Output:
	// "ada greets bob"
}

// A server is a node with its own listener. The moim program runs one.
func ExampleNewServer() {
	ctx := context.Background()
	cfg, remove := settings()
	defer remove()
	cfg.HTTP.Addr = "127.0.0.1:0" // any free port
	server, err := app.NewServer(cfg, quiet, app.WithVersion("1.2.3"))
	check(err)
	check(server.Start(ctx))
	status, _ := visit("http://" + server.Addr() + "/healthz")
	fmt.Println(status)
	check(server.Stop(ctx))
	// Output:
	// 200
}
