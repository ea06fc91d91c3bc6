package socket_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

type quizAnswer struct {
	Quiz   string `json:"quiz"`
	Choice int    `json:"choice"`
}

type quizScore struct{ points int } // of one socket

// A quiz in its own namespace, with middleware that lets in invited clients, rooms,
// acknowledgements and data of each socket.
func ExampleIn() {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	gateway, err := socket.New(socket.Config{}, socket.Deps{Hub: hub, Authenticate: socket.Anonymous},
		socket.In("/quiz",
			socket.Use(func(_ context.Context, s *socket.Socket) error {
				if s.Handshake().Query.Get("invited") == "" {
					return fault.ErrForbidden.WithMessage("you need an invitation")
				}
				return nil
			}),
			socket.OnRaw("join", func(_ context.Context, s *socket.Socket, args socket.Args) (socket.Args, error) {
				var quiz string
				if err := args.Decode(0, &quiz); err != nil {
					return nil, err
				}
				return socket.Args{"welcome to " + quiz}, s.Join(quiz)
			}),
			socket.On("answer", func(ctx context.Context, s *socket.Socket, in quizAnswer) (int, error) {
				if in.Choice == 2 {
					socket.Data[quizScore](s).points++
				}
				return socket.Data[quizScore](s).points, s.To(in.Quiz).Emit(ctx, "answered", in.Choice)
			}),
		)...)
	check(err)
	ctx := context.Background()
	check(hub.Start(ctx))
	check(gateway.Start(ctx))
	server := httptest.NewServer(gateway)
	defer func() {
		check(gateway.Stop(ctx))
		check(hub.Stop(ctx))
		server.Close()
	}()

	url := "ws" + strings.TrimPrefix(server.URL, "http") + "/socket.io/?EIO=4&transport=websocket"
	uninvited, invited, watcher := openQuiz(url), openQuiz(url+"&invited=yes"), openQuiz(url+"&invited=yes")
	defer func() {
		for _, ws := range []*websocket.Conn{uninvited, invited, watcher} {
			check(ws.Close())
		}
	}()
	fmt.Println(ask(uninvited, `40/quiz,`))
	ask(invited, `40/quiz,`)
	ask(watcher, `40/quiz,`)
	ask(watcher, `42/quiz,1["join","capitals"]`)
	fmt.Println(ask(invited, `42/quiz,1["join","capitals"]`))
	fmt.Println(ask(invited, `42/quiz,2["answer",{"quiz":"capitals","choice":2}]`))
	fmt.Println(next(watcher))
	// Output:
	// 44/quiz,{"message":"you need an invitation","data":{"code":"forbidden"}}
	// 43/quiz,1["welcome to capitals"]
	// 43/quiz,2[{"data":1}]
	// 42/quiz,["answered",2]
}

// openQuiz opens a connection.
func openQuiz(url string) *websocket.Conn {
	ws, resp, err := websocket.DefaultDialer.Dial(url, nil)
	check(err)
	check(resp.Body.Close())
	next(ws)
	return ws
}

// ask writes a packet and returns the next one.
func ask(ws *websocket.Conn, packet string) string {
	check(ws.WriteMessage(websocket.TextMessage, []byte(packet)))
	return next(ws)
}

func next(ws *websocket.Conn) string {
	_, data, err := ws.ReadMessage()
	check(err)
	return string(data)
}
