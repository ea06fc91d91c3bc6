package socket_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// roomHandlers let clients join and leave any room of the program.
func roomHandlers() []socket.Handler {
	return []socket.Handler{
		socket.On("join", func(_ context.Context, s *socket.Socket, room string) (string, error) { return "in", s.Join(room) }),
		socket.On("leave", func(_ context.Context, s *socket.Socket, room string) (string, error) { return "out", s.Leave(room) }),
	}
}

// An event for a room reaches the sockets that are in it at that time.
func ExampleEmitter_To() {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	out := socket.NewEmitter(hub)
	server := host(hub, tokenIsName, roomHandlers()...)
	defer server.stop()
	ada, bob := server.visit("ada"), server.visit("bob")
	defer ada.close()
	defer bob.close()

	ada.ask(`{"id":1,"event":"join","data":"lobby"}`)
	bob.ask(`{"id":1,"event":"join","data":"lobby"}`)
	check(out.To("lobby").Emit(context.Background(), "news", "the gates open"))
	fmt.Println("ada", ada.receive())
	fmt.Println("bob", bob.receive())

	fmt.Println("bob", bob.ask(`{"id":2,"event":"leave","data":"lobby"}`))
	check(out.To("lobby").Emit(context.Background(), "news", "the show begins"))
	fmt.Println("ada", ada.receive())
	fmt.Println("bob", bob.ask(`{"id":3,"event":"join","data":"garden"}`)) // bob has no other message to receive
	// Output:
	// ada {"event":"news","data":"the gates open"}
	// bob {"event":"news","data":"the gates open"}
	// bob {"id":2,"data":"out"}
	// ada {"event":"news","data":"the show begins"}
	// bob {"id":3,"data":"in"}
}

// Each user has a room without joining one. All sockets of the user, in each tab and on each
// device, receive what is sent to it.
func ExampleEmitter_ToUser() {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	out := socket.NewEmitter(hub)
	server := host(hub, tokenIsName)
	defer server.stop()
	laptop, phone := server.visit("ada"), server.visit("ada")
	defer laptop.close()
	defer phone.close()

	check(out.ToUser("ada").Emit(context.Background(), "mail", map[string]string{"from": "bob"}))
	fmt.Println(laptop.receive())
	fmt.Println(phone.receive())
	// Output:
	// {"event":"mail","data":{"from":"bob"}}
	// {"event":"mail","data":{"from":"bob"}}
}

// The hub can send to a room except one of its sockets. Here this is the sender, who already has
// the change.
func Example_exceptTheSender() {
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	move := socket.On("move", func(ctx context.Context, s *socket.Socket, to json.RawMessage) (string, error) {
		return "moved", hub.Emit(ctx, adapter.Envelope{Room: "board", Event: "moved", Data: to, Except: s.ID()})
	})
	enter := socket.OnConnect(func(_ context.Context, s *socket.Socket) error { return s.Join("board") })
	server := host(hub, tokenIsName, enter, move)
	defer server.stop()
	ada, bob := server.visit("ada"), server.visit("bob")
	defer ada.close()
	defer bob.close()

	fmt.Println("ada", ada.ask(`{"id":1,"event":"move","data":"e4"}`))
	fmt.Println("bob", bob.receive())
	fmt.Println("bob", bob.ask(`{"id":1,"event":"move","data":"e5"}`))
	fmt.Println("ada", ada.receive())
	// Output:
	// ada {"id":1,"data":"moved"}
	// bob {"event":"moved","data":"e4"}
	// bob {"id":1,"data":"moved"}
	// ada {"event":"moved","data":"e5"}
}

// Clients of two nodes on one mesh can reach each other as on one node. With the Redis adapter
// instead of the mesh, the nodes can run on different machines.
func Example_twoNodes() {
	mesh := adapter.NewMesh()
	hubs := []*adapter.Hub{adapter.NewHub(mesh.Adapter()), adapter.NewHub(mesh.Adapter())}
	out := socket.NewEmitter(hubs[0])
	one, two := host(hubs[0], tokenIsName, roomHandlers()...), host(hubs[1], tokenIsName, roomHandlers()...)
	defer one.stop()
	defer two.stop()
	ada, bob := one.visit("ada"), two.visit("bob")
	defer ada.close()
	defer bob.close()

	ada.ask(`{"id":1,"event":"join","data":"lobby"}`)
	bob.ask(`{"id":1,"event":"join","data":"lobby"}`)
	check(out.To("lobby").Emit(context.Background(), "news", "hello"))
	fmt.Println("ada", ada.receive())
	fmt.Println("bob", bob.receive())
	// Output:
	// ada {"event":"news","data":"hello"}
	// bob {"event":"news","data":"hello"}
}
