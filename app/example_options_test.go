package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/web"
)

// launch runs Moim with options. It returns the app, its server, and a function that stops both.
// ExampleNew shows these steps.
func launch(cfg config.Config, opts ...app.Option) (*app.App, *httptest.Server, func()) {
	ctx := context.Background()
	moim, err := app.New(cfg, append(opts, quiet)...)
	check(err)
	router := gin.New()
	moim.Mount(router)
	check(moim.Start(ctx))
	server := httptest.NewServer(router)
	return moim, server, func() {
		check(moim.Stop(ctx))
		server.Close()
	}
}

// A translator sends the events of a group to its members under the program's own names. A chat
// client then needs to know no other events.
func ExampleWithModule_translator() {
	cfg, remove := settings()
	defer remove()
	said := func(e group.Event) group.Translation {
		if e.Type != group.MessagePosted {
			return group.Translation{}
		}
		var posted struct{ Data string }
		check(json.Unmarshal(e.Data, &posted))
		line := map[string]string{"from": *e.Actor, "text": posted.Data}
		return group.Translation{Pushes: []group.Push{{Event: "chat:line", Data: line}}}
	}
	_, server, stop := launch(cfg, app.WithModule(fx.Supply(group.Translator{Event: said})))
	defer stop()

	client := connect(server, "/ws", tokenFor(cfg, "ada"))
	defer client.close()
	var chat group.Group
	check(json.Unmarshal([]byte(client.ask("group:create", `{"name":"Sunday hike"}`)), &chat))
	client.ask("group:subscribe", `{"groupId":"`+chat.ID+`"}`)
	client.tell("group:message", `{"groupId":"`+chat.ID+`","data":"I bring the tea"}`)
	fmt.Println(client.hear("chat:line"))
	// Output:
	// {"from":"ada","text":"I bring the tea"}
}

// newParties returns handlers of the program's own events, which use Moim's group service.
func newParties(groups *group.Service) []socket.Handler {
	return []socket.Handler{
		socket.On("party:begin", func(ctx context.Context, s *socket.Socket, name string) (string, error) {
			g, err := groups.Create(ctx, s.Identity(), dto.CreateRequest{Name: name, Visibility: "public", JoinPolicy: "open"})
			return g.ID, err
		}),
		socket.On("party:join", func(ctx context.Context, s *socket.Socket, id string) (int, error) {
			if _, err := groups.Join(ctx, s.Identity(), id); err != nil {
				return 0, err
			}
			g, err := groups.Get(ctx, s.Identity(), id)
			return g.MemberCount, err
		}),
	}
}

// A module of the program gets Moim's services from fx. The rest of the program need not use fx.
func ExampleWithModule() {
	cfg, remove := settings()
	defer remove()
	_, server, stop := launch(cfg, app.WithModule(fx.Provide(socket.AsHandlers(newParties))))
	defer stop()

	ada, bob := connect(server, "/ws", tokenFor(cfg, "ada")), connect(server, "/ws", tokenFor(cfg, "bob"))
	defer ada.close()
	defer bob.close()
	party := ada.ask("party:begin", `"Sunday hike"`)
	fmt.Println("members:", bob.ask("party:join", party))
	// Output:
	// members: 2
}

// A program that does not use Moim's tokens for its users decides itself which user a socket has.
// HTTP calls still need tokens.
func ExampleWithAuthenticator() {
	cfg, remove := settings()
	defer remove()
	byKey := func(_ context.Context, h socket.Handshake) (auth.Identity, error) {
		return auth.Identity{UserID: "owner of " + h.Token}, nil
	}
	whoAmI := socket.On("whoami", func(_ context.Context, s *socket.Socket, _ struct{}) (string, error) { return s.UserID(), nil })
	_, server, stop := launch(cfg, app.WithAuthenticator(byKey), app.WithHandlers(whoAmI))
	defer stop()

	client := connect(server, "/ws", "key-7")
	defer client.close()
	fmt.Println(client.ask("whoami", `{}`))
	status, _ := visit(server.URL + "/v1/me/groups")
	fmt.Println("HTTP without a token:", status)
	// Output:
	// "owner of key-7"
	// HTTP without a token: 401
}

// observed is an adapter that prints what is sent to a room on the other nodes, and passes
// everything to the inner adapter. It does not print the requests that nodes send each other.
type observed struct{ adapter.Adapter }

func (o observed) Publish(ctx context.Context, env adapter.Envelope) error {
	if env.Room == "lobby" {
		fmt.Println("to the other nodes:", env.Room, env.Event, string(env.Data))
	}
	return o.Adapter.Publish(ctx, env)
}

// A program uses its own adapter between the nodes. Moim starts and stops it.
func ExampleWithAdapter() {
	cfg, remove := settings()
	defer remove()
	moim, _, stop := launch(cfg, app.WithAdapter(observed{adapter.NewMesh().Adapter()}))
	defer stop()

	check(moim.Emitter.To("lobby").Emit(context.Background(), "news", "hello"))
	// Output:
	// to the other nodes: lobby news "hello"
}

// A program passes its own Redis client. Moim subscribes on a duplicate of it and never closes
// it. Here the server is down. The node still starts, and reports what does not work.
func ExampleWithRedis() {
	cfg, remove := settings()
	defer remove()
	client := redis.NewClient(&redis.Options{
		Dialer:        func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no server") },
		DialerRetries: 1,
	})
	defer client.Close()
	_, server, stop := launch(cfg,
		app.WithRedis(redisrole.Socket, client), app.WithRedis(redisrole.Group, client), app.WithRedis(redisrole.Cache, client))
	defer stop()

	status, body := visit(server.URL + "/readyz")
	var report web.Report
	check(json.Unmarshal([]byte(body), &report))
	fmt.Println(status, report.Status)
	for _, part := range []string{"database", "redis.socket", "redis.group", "redis.cache"} {
		fmt.Println(part, report.Checks[part].Status)
	}
	// Output:
	// 200 degraded
	// database up
	// redis.socket down
	// redis.group down
	// redis.cache down
}
