package socket

import (
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// TestHoldAfterTheEnd holds frames of a socket that may have closed meanwhile. Sending
// would panic, because the socket has no connection.
func TestHoldAfterTheEnd(t *testing.T) {
	t.Parallel()
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	own, err := hub.Reserve(&names)
	if err != nil {
		t.Fatal(err)
	}
	s := &Socket{namespace: newNamespace("/", Config{}), session: &session{gateway: &Gateway{deps: Deps{Hub: hub}, own: own}}}
	s.identity.Store(&auth.Identity{UserID: "ana"})
	frame := engine.EngineIO.Frame([]byte("2"))
	s.hold(frame)
	if !s.close(engine.TransportClose) {
		t.Fatal("it had ended before")
	}
	s.hold(frame)
	if len(s.held) != 0 {
		t.Errorf("%d frames are held", len(s.held))
	}
}
