package redisrole

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"
)

// GivenClients are the clients that an embedding program hands in.
type GivenClients map[Role]redis.UniversalClient

// Module wants a [Config], a [NodeID], a *slog.Logger and, optionally,
// [GivenClients]; it provides [*Clients], closed at the end, and [*Registry],
// which whoever knows the database's identity starts by Announce.
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
	lifecycle.Append(fx.StopHook(func(ctx context.Context) error { return r.Stop(ctx) }))
	return r
}
