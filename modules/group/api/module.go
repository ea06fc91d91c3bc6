package api

import (
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Module needs a *group.Service, a *feed.Feed, a *socket.Emitter, *auth.Revocations,
// [transfer.Traces] and what group.Module provides. It provides [*Controller], and [*Gateway]
// with its handlers.
var Module = fx.Module("group/api", fx.Provide(
	provideGateway,
	provideController,
	socket.AsHandlers((*Gateway).Handlers),
))

type gatewayParams struct {
	fx.In

	Service *group.Service
	Feed    *feed.Feed
	Own     *adapter.Owner `name:"moim.group"`
}

func provideGateway(p gatewayParams) *Gateway { return NewGateway(p.Service, p.Feed, p.Own) }

func provideController(s *group.Service, out *socket.Emitter, revoked *auth.Revocations, traces transfer.Traces) *Controller {
	return NewController(s, out, out, revoked, traces)
}
