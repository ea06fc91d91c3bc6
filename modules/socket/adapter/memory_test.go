package adapter_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(*testing.T) [3]adapter.Adapter {
		mesh := adapter.NewMesh()
		return [3]adapter.Adapter{mesh.Adapter(), mesh.Adapter(), mesh.Adapter()}
	})
}

func TestMemoryDropsWhatIsNoLongerWanted(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	from, to := mesh.Adapter(), mesh.Adapter()
	delivered, goOn := make(chan string, 10), make(chan struct{})
	sink := func(env adapter.Envelope) {
		delivered <- env.Room
		<-goOn
	}
	if err := to.Start(t.Context(), sink, func() {}); err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"first", "left", "last"} {
		to.Subscribe(room)
		if err := from.Publish(t.Context(), adapter.Envelope{Room: room}); err != nil {
			t.Fatal(err)
		}
	}
	if room := <-delivered; room != "first" {
		t.Fatal(room)
	}
	to.Unsubscribe("left") // an envelope for this room is already queued
	close(goOn)
	if room := <-delivered; room != "last" {
		t.Fatalf("an envelope of the room %q was delivered", room)
	}
	if err := to.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
