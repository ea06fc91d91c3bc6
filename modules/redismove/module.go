package redismove

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// Module needs a *database.DB, *redisrole.Clients, a *redisrole.Registry, a [Secret] and a
// *slog.Logger. It provides [*Mover], and starts and stops it.
var Module = fx.Module("redismove", fx.Provide(provideMover))

// CacheModule needs the same as Module. It provides the cache's tier as a part.
var CacheModule = fx.Module("redismove.cache", fx.Provide(
	fx.Annotate(provideCache, fx.As(fx.Self()), fx.As(new(cache.Tier)))))

// SocketModule needs the same as Module and a redisadapter.SigningSource. It provides the
// socket adapter as a part. The hub starts and stops the adapter.
var SocketModule = fx.Module("redismove.socket", fx.Provide(
	fx.Annotate(provideSocket, fx.As(fx.Self()), fx.As(new(adapter.Adapter)))))

// GroupModule needs the same as Module and a *socket.Emitter, which has the node's name. It
// provides presence as a part.
var GroupModule = fx.Module("redismove.group", fx.Provide(
	fx.Annotate(provideGroup, fx.As(fx.Self()), fx.As(new(presence.Store)))))

func provideMover(lc fx.Lifecycle, db *database.DB, clients *redisrole.Clients, registry *redisrole.Registry, secret Secret, log *slog.Logger) *Mover {
	m := New(db, clients, secret, log)
	m.Announce(registry)
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

func provideSocket(m *Mover, clients *redisrole.Clients, signing redisadapter.SigningSource, log *slog.Logger) (*SocketPart, error) {
	part, err := NewSocketPart(clients, signing, log)
	if err != nil {
		return nil, err
	}
	m.Add(redisrole.Socket, part)
	return part, nil
}

func provideGroup(m *Mover, clients *redisrole.Clients, out *socket.Emitter, log *slog.Logger) *GroupPart {
	part := NewGroupPart(clients, log)
	part.SetNode(out.NodeID)
	m.Add(redisrole.Group, part)
	return part
}
