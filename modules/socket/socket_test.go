package socket

import (
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// TestHoldAfterTheEnd: what is sent while a socket connects may come to it when
// it has ended already. Without a connection, sending would panic.
func TestHoldAfterTheEnd(t *testing.T) {
	t.Parallel()
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	own, err := hub.Reserve(&names)
	if err != nil {
		t.Fatal(err)
	}
	s := newSocket(auth.Identity{UserID: "ana"}, socketIO{}, nil, hub, own)
	frame := engine.EngineIO.Frame([]byte("2"))
	s.hold(frame)
	if !s.close() {
		t.Fatal("it had ended before")
	}
	s.hold(frame)
	if len(s.held) != 0 {
		t.Errorf("%d frames are held", len(s.held))
	}
}
