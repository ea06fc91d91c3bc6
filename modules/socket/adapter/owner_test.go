package adapter_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestReserve checks that each name has one owner, and can be reserved only before the hub
// starts.
func TestReserve(t *testing.T) {
	t.Parallel()
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	team := adapter.Names{Owner: "the team module", Rooms: []string{"team:"}, Events: []string{"team:", "score:"}}
	own, err := hub.Reserve(&team)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(names adapter.Names, want string) {
		t.Helper()
		names.Owner = "the other module"
		if _, err := hub.Reserve(&names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reserving %v: %v, want %q", names, err, want)
		}
	}
	refused(team, `the other module cannot reserve rooms "team:": the team module has reserved "team:"`)
	refused(adapter.Names{Events: []string{"x:", "score:"}}, `the other module cannot reserve events "score:": the team module has reserved "score:"`)
	refused(adapter.Names{Rooms: []string{"team:1"}}, `rooms "team:1"`)
	refused(adapter.Names{Events: []string{"te"}}, `events "te"`)
	refused(adapter.Names{Rooms: []string{""}}, `cannot reserve all rooms`)
	refused(adapter.Names{Events: []string{""}}, `cannot reserve all events`)
	if _, err := hub.Reserve(&adapter.Names{Rooms: []string{"score:"}}); err != nil { // the prefix of an event, not of a room
		t.Error(err)
	}
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Stop(context.Background()) })
	refused(adapter.Names{Rooms: []string{"late:"}}, "before the hub starts")
	if again, err := hub.Reserve(&team); again != own || err != nil {
		t.Errorf("with the same key: %p, %v, want %p", again, err, own)
	}
}
