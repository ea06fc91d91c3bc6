package api_test

import (
	"context"
	"log/slog"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/group/upkeep"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestModule checks that the module gets its dependencies from fx, and that the gateway
// gets its handlers.
func TestModule(t *testing.T) {
	t.Parallel()
	var service *group.Service
	st := servicetest.OpenStore(t)
	app := fxtest.New(t,
		fx.Supply(group.Config{}, socket.Config{}),
		fx.Provide(
			func() group.Repository { return st },
			func() group.Log { return st },
			func() upkeep.Trimmer { return st },
			func() upkeep.Clock { return st },
			func() transfer.Traces { return st },
			func() presence.Store { return presence.NewMemory() },
			func(t *presence.Tracker) feed.Watcher { return t },
			func() adapter.Adapter { return adapter.NewMesh().Adapter() },
			func() *slog.Logger { return slog.New(slog.DiscardHandler) },
			func() socket.Authenticator { return socket.Anonymous },
			func(log *slog.Logger) *auth.Revocations { return auth.NewRevocations(auth.Config{}, nil, log) },
		),
		socket.Module,
		group.Module,
		presence.Module,
		feed.Module,
		api.Module,
		fx.Invoke(func(*api.Controller, *socket.Gateway) {}),
		fx.Populate(&service),
	)
	app.RequireStart()
	defer app.RequireStop()
	if _, err := service.Create(context.Background(), alice, dto.CreateRequest{Name: "g"}); err != nil {
		t.Error(err)
	}
}
