package app_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestProgramsLeaveModulesTheirNames embeds Moim in programs that handle events of the group
// module, reserve its rooms, or send to them. Each must be refused.
func TestProgramsLeaveModulesTheirNames(t *testing.T) {
	t.Parallel()
	answer := func(context.Context, *socket.Socket, struct{}) (struct{}, error) { return struct{}{}, nil }
	takeRooms := func(hub *adapter.Hub) ([]socket.Handler, error) {
		_, err := hub.Reserve(&adapter.Names{Owner: "the program's module", Rooms: []string{"group:"}})
		return nil, err
	}
	for _, test := range []struct {
		opt  app.Option
		want string
	}{
		{
			app.WithHandlers(socket.On("presence:get", answer)),
			`event "presence:get" belongs to the group module`,
		},
		{
			app.WithModule(fx.Provide(socket.AsHandlers(takeRooms))),
			`"group:"`,
		},
	} {
		_, err := app.New(complete(t, config.Config{}), app.WithLogger(slog.New(slog.DiscardHandler)), test.opt)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want an error that says %s", err, test.want)
		}
	}
	moim := start(t, config.Config{}, gin.New())
	for _, err := range []error{
		moim.Emitter.To("lobby").Emit(t.Context(), "group:event", 1),
		moim.Emitter.To("group:1").Emit(t.Context(), "news", 1),
		moim.Emitter.ToUser("alice").Emit(t.Context(), "group:closed", 1),
	} {
		if _, is := errors.AsType[*adapter.ReservedError](err); !is {
			t.Errorf("sending a module's event, or to its room: %v", err)
		}
	}
	if err := moim.Emitter.ToUser("alice").Emit(t.Context(), "news", 1); err != nil {
		t.Error(err)
	}
}
