package redismove

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
)

// Module wants a *database.DB, *redisrole.Clients, a [Secret] and a
// *slog.Logger; it provides [*Mover], which it starts and stops.
var Module = fx.Module("redismove", fx.Provide(provideMover))

// CacheModule wants that, and provides the cache's tier as a part that moves.
var CacheModule = fx.Module("redismove.cache", fx.Provide(
	fx.Annotate(provideCache, fx.As(fx.Self()), fx.As(new(cache.Tier)))))

func provideMover(lc fx.Lifecycle, db *database.DB, clients *redisrole.Clients, secret Secret, log *slog.Logger) *Mover {
	m := New(db, clients, secret, log)
	lc.Append(fx.Hook{
		OnStart: m.Start,
		OnStop:  func(ctx context.Context) error { return m.Stop(ctx) },
	})
	return m
}

func provideCache(m *Mover, clients *redisrole.Clients, log *slog.Logger) *CachePart {
	part := NewCachePart(clients, log)
	m.Add(redisrole.Cache, part)
	return part
}
