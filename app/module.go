package app

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
	"github.com/moim-live/moim/modules/web"
)

// version is what the OpenAPI document shows: Moim's, or the embedding
// program's.
type version string

// Module wires Moim into an fx program, which gets [*Routes] to mount and
// *socket.Emitter to send with, and adds events by socket.AsHandlers. The
// program provides a *slog.Logger.
func Module(cfg config.Config, opts ...Option) fx.Option {
	o := collect(opts)
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(o.roles()...); err != nil {
		return fx.Error(err)
	}
	return fx.Module("moim",
		fx.Supply(cfg.HTTP, cfg.Auth, cfg.Redis, cfg.Group, cfg.Socket, cfg.Cache,
			socket.Origins(cfg.HTTP.Origins), version(o.version), o.redis, redisadapter.Key(cfg.Redis.SocketHMAC), redismove.Secret(cfg.Auth.Secret), redisrole.NodeID(uuid.NewString())),
		fx.Provide(
			func(lc fx.Lifecycle, log *slog.Logger) (*database.DB, error) { return provideDatabase(lc, cfg, log) },
			fx.Annotate(sqlstore.New, fx.As(fx.Self()), fx.As(new(group.Log)), fx.As(new(group.Trimmer)), fx.As(new(group.Clock))),
			provideRepository,
			provideVerifier,
			provideAuthenticator(o),
			provideMetrics,
			web.NewHealth,
			provideRoutes,
			socket.AsHandlers(func() []socket.Handler { return o.handlers }),
			func(t *presence.Tracker) feed.Watcher { return t },
		),
		redisrole.Module,
		redismove.Module,
		backends(cfg, o),
		cache.Module,
		socket.Module,
		group.Module,
		presence.Module,
		feed.Module,
		api.Module,
		fx.Options(o.modules...),
		fx.Invoke(announce, watchDependencies, countBackends, ready),
	)
}

// backends is the one switch between what runs in this process and what runs
// on Redis. Nothing else knows which was taken.
func backends(cfg config.Config, o options) fx.Option {
	var chosen []fx.Option
	switch {
	case o.adapter != nil:
		chosen = append(chosen, fx.Provide(func() adapter.Adapter { return o.adapter }))
	case cfg.SocketsUseRedis(o.roles()...):
		chosen = append(chosen, redismove.SocketModule)
	default:
		chosen = append(chosen, fx.Provide(func() adapter.Adapter { return adapter.NewMesh().Adapter() }))
	}
	if cfg.Redis.Uses(redisrole.Group) || o.redis[redisrole.Group] != nil {
		chosen = append(chosen, redismove.GroupModule)
	} else {
		chosen = append(chosen, fx.Provide(func() presence.Store { return presence.NewMemory() }))
	}
	if cfg.Redis.Uses(redisrole.Cache) || o.redis[redisrole.Cache] != nil {
		chosen = append(chosen, redismove.CacheModule)
	}
	return fx.Options(chosen...)
}

func provideDatabase(lc fx.Lifecycle, cfg config.Config, log *slog.Logger) (*database.DB, error) {
	db, err := database.Open(cfg.Database, cfg.Data.Dir, log)
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{OnStart: db.Start, OnStop: db.Stop})
	return db, nil
}

// provideRepository puts the cache in front of the store.
func provideRepository(store *sqlstore.Store, records *cache.Cache) group.Repository {
	return group.NewCached(store, store, records)
}

func provideVerifier(lc fx.Lifecycle, cfg auth.Config, log *slog.Logger) (*auth.Verifier, error) {
	v, err := auth.New(cfg, log)
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{OnStart: v.Start, OnStop: v.Stop})
	return v, nil
}

func provideAuthenticator(o options) func(*auth.Verifier) socket.Authenticator {
	return func(v *auth.Verifier) socket.Authenticator {
		if o.auth != nil {
			return o.auth
		}
		return socket.Tokens(v.Verify)
	}
}

// announce makes the node known on the Redis servers as one of its database's,
// and takes it out of service while another deployment's nodes share its
// prefix. It comes first of all that needs the database.
func announce(lc fx.Lifecycle, db *database.DB, registry *redisrole.Registry, health *web.Health, log *slog.Logger, gateway *socket.Gateway) {
	registry.OnForeign(func(err error) {
		if err == nil {
			health.SetUnready("")
			log.Info("app: the other deployment is gone")
			return
		}
		health.SetUnready(err.Error())
		gateway.CloseAll()
		log.Error("app: not ready: another deployment uses this Redis prefix", "err", err)
	})
	lc.Append(fx.Hook{OnStart: func(ctx context.Context) error {
		id, err := db.Identity(ctx)
		if err != nil {
			return err
		}
		return registry.Announce(ctx, id)
	}})
}

type dependencies struct {
	fx.In

	Health  *web.Health
	DB      *database.DB
	Clients *redisrole.Clients
	Hub     *adapter.Hub
	Cache   *redismove.CachePart `optional:"true"`
	Group   *redismove.GroupPart `optional:"true"`

	Registerer prometheus.Registerer
}

// watchDependencies gives /readyz and /metrics their entries.
func watchDependencies(d dependencies) error {
	if err := d.Health.Add("database", web.Required, d.DB.Ping); err != nil {
		return err
	}
	d.Registerer.MustRegister(dependencyMetrics{d.Health})
	for _, role := range redisrole.Roles() {
		check := func(ctx context.Context) error { return d.Clients.Health(ctx, role) }
		switch {
		case role == redisrole.Socket:
			check = d.Hub.Health // in this process, or through Redis
		case role == redisrole.Cache && d.Cache != nil:
			check = d.Cache.Health // where it is now
		case role == redisrole.Group && d.Group != nil:
			check = d.Group.Health
		case !d.Clients.Uses(role):
			check = func(context.Context) error { return nil }
		}
		if err := d.Health.Add("redis."+string(role), web.Degradable, check); err != nil {
			return err
		}
	}
	return nil
}

// ready says that everything has started: it is invoked last. Routes signs
// cursors with a key that all nodes of a database share.
func ready(lc fx.Lifecycle, health *web.Health, db *database.DB, routes *Routes) {
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			id, err := db.Identity(ctx)
			if err != nil {
				return err
			}
			routes.setCursorKey([]byte("cursor:" + id))
			health.SetState(web.Ready)
			return nil
		},
		OnStop: func(ctx context.Context) error {
			health.SetState(web.Draining)
			return health.Stop(ctx)
		},
	})
}

// rootCause returns what went wrong without fx's account of how it got there.
func rootCause(err error) error {
	if err == nil {
		return nil
	}
	return dig.RootCause(err)
}
