package adapter_test

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// An adapter carries an envelope to the other nodes that are interested in its
// room. It never carries it back to the node that sends.
func ExampleMesh() {
	ctx := context.Background()
	mesh := adapter.NewMesh()
	one, two := mesh.Adapter(), mesh.Adapter()
	received := make(chan adapter.Envelope, 1)
	lost := func() {} // in one process, nothing is lost
	for _, err := range []error{
		one.Start(ctx, func(adapter.Envelope) { panic("a node received what it sent") }, lost),
		two.Start(ctx, func(env adapter.Envelope) { received <- env }, lost),
	} {
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	<-one.Subscribe("lobby")
	<-two.Subscribe("lobby")

	for _, room := range []string{"garden", "lobby"} { // no node is interested in the garden
		if err := one.Publish(ctx, adapter.Envelope{Room: room, Event: "news", Data: []byte(`"hello"`)}); err != nil {
			fmt.Println(err)
		}
	}
	env := <-received
	fmt.Println(env.Room, env.Event, string(env.Data))
	fmt.Println(two.Stop(ctx), one.Stop(ctx))
	// Output:
	// lobby news "hello"
	// <nil> <nil>
}
