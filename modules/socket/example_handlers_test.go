package socket_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// A handler is a function from a request to an answer. The package decodes the request before it
// calls the function, and refuses invalid requests.
func ExampleOn() {
	type addition struct {
		A int `json:"a"`
		B int `json:"b"`
	}
	add := socket.On("add", func(_ context.Context, _ *socket.Socket, in addition) (int, error) {
		return in.A + in.B, nil
	})
	server := host(adapter.NewHub(adapter.NewMesh().Adapter()), socket.Anonymous, add)
	defer server.stop()
	client := server.visit("")
	defer client.close()

	fmt.Println(client.ask(`{"id":1,"event":"add","data":{"a":1,"b":2}}`))
	fmt.Println(client.ask(`{"id":2,"event":"add","data":{"a":"one"}}`))
	fmt.Println(client.ask(`{"id":3,"event":"subtract"}`))
	// Output:
	// {"id":1,"data":3}
	// {"id":2,"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"a","message":"must be a whole number"}]}}
	// {"id":3,"error":{"code":"unknown_event","message":"there is no event of this name"}}
}

// A message without an id gets no answer, but its handler still runs.
func ExampleOn_withoutReply() {
	total := 0
	count := socket.On("count", func(context.Context, *socket.Socket, struct{}) (int, error) {
		total++
		return total, nil
	})
	server := host(adapter.NewHub(adapter.NewMesh().Adapter()), socket.Anonymous, count)
	defer server.stop()
	client := server.visit("")
	defer client.close()

	client.send(`{"event":"count"}`)
	client.send(`{"event":"count"}`)
	fmt.Println(client.ask(`{"id":1,"event":"count"}`))
	// Output:
	// {"id":1,"data":3}
}

// A client checks the code of an error, which never changes. Errors without a code reach the
// client as an internal error, without details.
func ExampleOn_error() {
	errSoldOut := fault.New(fault.Conflict, "sold_out", "there are no tickets left")
	buy := socket.On("buy", func(_ context.Context, _ *socket.Socket, seat string) (string, error) {
		if seat == "A1" {
			return "", errSoldOut
		}
		return "", errors.New("connect to 10.1.2.3: connection refused")
	})
	server := host(adapter.NewHub(adapter.NewMesh().Adapter()), socket.Anonymous, buy)
	defer server.stop()
	client := server.visit("")
	defer client.close()

	fmt.Println(client.ask(`{"id":1,"event":"buy","data":"A1"}`))
	fmt.Println(client.ask(`{"id":2,"event":"buy","data":"A2"}`))
	// Output:
	// {"id":1,"error":{"code":"sold_out","message":"there are no tickets left"}}
	// {"id":2,"error":{"code":"internal","message":"internal error"}}
}

// guarded lets only some users call a handler. A guard is a function that takes a handler's
// function and returns another one.
func guarded[Req, Rep any](may func(userID string) bool, next func(context.Context, *socket.Socket, Req) (Rep, error)) func(context.Context, *socket.Socket, Req) (Rep, error) {
	return func(ctx context.Context, s *socket.Socket, in Req) (Rep, error) {
		if !may(s.UserID()) {
			var none Rep
			return none, fault.ErrForbidden
		}
		return next(ctx, s, in)
	}
}

// A guard checks the user before it calls the handler that it wraps.
func Example_guard() {
	isTeacher := func(userID string) bool { return userID == "ada" }
	endLesson := func(context.Context, *socket.Socket, struct{}) (string, error) { return "the lesson is over", nil }
	server := host(adapter.NewHub(adapter.NewMesh().Adapter()), tokenIsName, socket.On("lesson:end", guarded(isTeacher, endLesson)))
	defer server.stop()

	for _, user := range []string{"bob", "ada"} {
		client := server.visit(user)
		fmt.Println(user, client.ask(`{"id":1,"event":"lesson:end"}`))
		client.close()
	}
	// Output:
	// bob {"id":1,"error":{"code":"forbidden","message":"you are not allowed to do this"}}
	// ada {"id":1,"data":"the lesson is over"}
}

// tokenIsName believes every client. Do not do this.
func tokenIsName(_ context.Context, h socket.Handshake) (auth.Identity, error) {
	return auth.Identity{UserID: h.Token}, nil
}

// An Authenticator of the program decides which user a socket has. This one uses the session that
// a login has stored.
func ExampleAuthenticator() {
	sessions := map[string]string{"4f2a": "ada"}
	authenticate := func(_ context.Context, h socket.Handshake) (auth.Identity, error) {
		user, known := sessions[h.Token]
		if !known {
			return auth.Identity{}, fault.ErrUnauthorized
		}
		return auth.Identity{UserID: user}, nil
	}
	whoAmI := socket.On("whoami", func(_ context.Context, s *socket.Socket, _ struct{}) (string, error) {
		return s.UserID(), nil
	})
	server := host(adapter.NewHub(adapter.NewMesh().Adapter()), authenticate, whoAmI)
	defer server.stop()

	client := server.visit("4f2a")
	defer client.close()
	fmt.Println(client.ask(`{"id":1,"event":"whoami"}`))
	_, status := server.connect("made up")
	fmt.Println(status)
	// Output:
	// {"id":1,"data":"ada"}
	// 401
}

// A handler for new sockets puts each socket into its rooms, or refuses it. A client of the plain
// endpoint gets the refusal as an HTTP status.
func ExampleOnConnect() {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	out := socket.NewEmitter(hub)
	server := host(hub, tokenIsName, socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
		if s.UserID() == "mallory" {
			return fault.New(fault.Forbidden, "suspended", "your account is suspended")
		}
		return s.Join("everybody")
	}))
	defer server.stop()

	_, status := server.connect("mallory")
	fmt.Println("mallory", status)
	ada := server.visit("ada")
	defer ada.close()
	check(out.To("everybody").Emit(context.Background(), "news", "welcome"))
	fmt.Println("ada", ada.receive())
	// Output:
	// mallory 403
	// ada {"event":"news","data":"welcome"}
}
