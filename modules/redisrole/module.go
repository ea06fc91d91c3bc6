package redisrole

import (
	"log/slog"

	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"
)

// GivenClients are the clients of the embedding program.
type GivenClients map[Role]redis.UniversalClient

// Module needs a [Config], a [NodeID], a *slog.Logger and, optionally,
// [GivenClients]. It provides [*Clients] and [*Registry] and stops both. The
// application calls [Registry.Announce] when it knows the database's identity.
var Module = fx.Module("redisrole", fx.Provide(provideClients, provideRegistry))

type clientsParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    Config
	Node      NodeID
	Given     GivenClients `optional:"true"`
}

func provideClients(p clientsParams) (*Clients, error) {
	c, err := New(p.Config, p.Node, p.Given)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.StopHook(c.Close))
	return c, nil
}

func provideRegistry(lifecycle fx.Lifecycle, c *Clients, log *slog.Logger) *Registry {
	r := NewRegistry(c, log)
	lifecycle.Append(fx.StopHook(r.Stop))
	return r
}
