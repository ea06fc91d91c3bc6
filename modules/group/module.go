package group

import (
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// StopTimeout is the part of the program's stop time that each part of the module may use.
const StopTimeout = 5 * time.Second

// Module needs a [Config], a [Repository], a [Log], an [Announcer], [Senders], a
// [PresenceKeeper] and an *adapter.Hub. It provides [*Service] and the module's
// *adapter.Owner, which is named [OwnerTag].
var Module = fx.Module("group", fx.Provide(
	fx.Annotate(Reserve, fx.ResultTags(OwnerTag)),
	provideService,
))

// OwnerTag names the module's *adapter.Owner in an fx program, for the packages of this
// module.
const OwnerTag = `name:"moim.group"`

type serviceParams struct {
	fx.In

	Config     Config
	Repository Repository
	Log        Log
	Announcer  Announcer
	Senders    Senders
	Audience   Audience `optional:"true"`
	Presence   PresenceKeeper
	Marks      MarkTeller     `optional:"true"`
	Limits     *limit.Limits  `optional:"true"`
	Gatekeeper Gatekeeper     `optional:"true"`
	Own        *adapter.Owner `name:"moim.group"`
}

func provideService(p serviceParams) *Service {
	return NewService(p.Config, Deps{
		Repository: p.Repository,
		Log:        p.Log,
		Announcer:  p.Announcer,
		Senders:    p.Senders,
		Audience:   p.Audience,
		Limits:     p.Limits,
		Signaler:   p.Own,
		Presence:   p.Presence,
		Marks:      p.Marks,
		Gatekeeper: p.Gatekeeper,
	})
}
