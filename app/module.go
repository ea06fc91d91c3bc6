package app

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/auth/sqltokens"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/recordcache"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/group/upkeep"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/limit/redislimit"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/nodebridge"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
	"github.com/moim-live/moim/modules/web"
)

type (
	version      string // for the OpenAPI document
	metricsRoute bool   // serve /metrics with the other routes
)

// Module adds Moim to an fx program. It needs a *slog.Logger. It provides [*Routes], which
// the program mounts, [*Reloader] and *socket.Emitter. The program adds handlers with
// socket.AsHandlers.
func Module(cfg config.Config, opts ...Option) fx.Option {
	o := collect(opts)
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(o.roles()...); err != nil {
		return fx.Error(err)
	}
	cfg.Authorize.Version = o.version
	return fx.Module("moim",
		fx.Decorate(requestid.Log, func(a group.Announcer, d *hook.Dispatcher) group.Announcer { return d.Watch(a) }),
		fx.Supply(cfg.HTTP, cfg.Auth, cfg.Redis, cfg.Group, cfg.Socket, cfg.Cache, cfg.Limit, cfg.Audit, cfg.Console, demonstration(cfg), cfg.Hook, cfg.Authorize, authorize.Program{Function: o.ask}, hook.Program{Functions: o.hooks, Presence: o.presence, Listed: cfg.Hooks, Version: o.version},
			socket.Origins{Allowed: cfg.HTTP.Origins, Loopback: cfg.HTTP.LoopbackOrigins}, version(o.version), o.tracer, o.redis, redismove.Secret{Key: cfg.Auth.Secret, Previous: cfg.Auth.PreviousSecret}, redisrole.NodeID(uuid.NewString())),
		fx.Provide(
			func(lc fx.Lifecycle, log *slog.Logger) (*database.DB, error) { return provideDatabase(lc, cfg, log) },
			fx.Annotate(sqlstore.New, fx.As(fx.Self()), fx.As(new(group.Log)), fx.As(new(upkeep.Trimmer)), fx.As(new(upkeep.Clock)), fx.As(new(upkeep.Renames)), fx.As(new(upkeep.Erasures)), fx.As(new(transfer.Traces))),
			fx.Annotate(sqlhooks.New, fx.As(new(hook.Definitions)), fx.As(new(hook.Positions)), fx.As(new(hook.Spreader)), fx.As(new(hook.Replays)), fx.As(new(hook.Backlogs))),
			fx.Annotate(sqlhooks.NewPresence, fx.As(new(hook.PresenceStore))),
			provideRepository,
			provideVerifier,
			provideRevocations,
			provideElsewhere,
			provideSigning,
			o.authenticator,
			provideMetrics,
			provideHistory,
			provideConsole,
			web.NewHealth,
			provideRoutes,
			func() metricsRoute { return cfg.Metrics.Addr == "" },
			o.reloader(cfg),
			socket.AsHandlers(func() []socket.Handler { return o.handlers }),
			func(t *presence.Tracker) feed.Watcher { return t },
			func(t *presence.Tracker) hook.Present { return t },
		),
		fx.Module("listeners", fx.Invoke(o.listenForOperators(cfg))), // fx runs the invokes of modules before others
		redisrole.Module,
		redismove.Module,
		backends(cfg, o),
		cache.Module,
		limit.Module,
		socket.Module,
		group.Module,
		presence.Module,
		feed.Module,
		api.Module,
		upkeep.Module,
		hook.Module,
		authorize.Module,
		fx.Options(o.modules...),
		fx.Invoke(reportNode, announce, watchDependencies, countBackends, ready),
	)
}

// backends chooses between backends in this process and on Redis. No other code knows the
// choice.
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
		chosen = append(chosen, redismove.GroupModule, fx.Provide(provideCensus, func(c *redislimit.Census) limit.Census { return c }))
	} else {
		chosen = append(chosen, fx.Provide(func(out *socket.Emitter) presence.Store {
			m := presence.NewMemory()
			m.SetNode(out.NodeID)
			return m
		}))
	}
	if cfg.Redis.Uses(redisrole.Cache) || o.redis[redisrole.Cache] != nil {
		chosen = append(chosen, redismove.CacheModule)
	}
	if cfg.Socket.Bridge == socket.BridgeRedisAdapter {
		chosen = append(chosen, fx.Provide(fx.Annotate(provideBridge, fx.As(fx.Self()), fx.As(new(socket.Bridge)))))
	}
	return fx.Options(chosen...)
}

// provideCensus counts the sockets of users in the cluster.
func provideCensus(
	lc fx.Lifecycle, part *redismove.GroupPart, clients *redisrole.Clients, log *slog.Logger, r prometheus.Registerer,
) *redislimit.Census {
	client := func() redis.UniversalClient { return part.Clients().Client(redisrole.Group) }
	c := redislimit.New(client, clients.Prefix(), string(clients.Node()), log)
	show(r, "moim_limit_redis_broken_total", "Numbers of sockets in the group role's Redis that could not be read and were replaced.", func() float64 { return float64(c.Broken()) })
	lc.Append(fx.Hook{OnStart: c.Start, OnStop: c.Stop})
	return c
}

// provideSigning returns how nodes sign messages to each other. By default the key comes
// from the database, which is open when the adapter begins. It is not derived from the
// database's identity, because nodes announce that on Redis.
func provideSigning(cfg redisrole.Config, db *database.DB) redisadapter.SigningSource {
	switch cfg.SocketHMAC {
	case "", redisrole.SigningOptional:
		return func() (redisadapter.Signing, error) {
			key, err := db.Key("messages between nodes")
			return redisadapter.Signing{Key: key, Optional: cfg.SocketHMAC != ""}, err
		}
	case redisrole.SigningOff:
		return redisadapter.Key(nil).Always()
	}
	return redisadapter.Key(cfg.SocketHMAC).Always()
}

func provideBridge(clients *redisrole.Clients, cfg socket.Config, log *slog.Logger) (*nodebridge.Bridge, error) {
	return nodebridge.New(clients, cfg.BridgeKey, log)
}

func provideDatabase(lc fx.Lifecycle, cfg config.Config, log *slog.Logger) (*database.DB, error) {
	db, err := database.Open(cfg.Database, cfg.Data.Dir, log)
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{OnStart: db.Start, OnStop: db.Stop})
	return db, nil
}

// provideRepository returns the store behind the cache.
func provideRepository(store *sqlstore.Store, records *cache.Cache) group.Repository {
	return recordcache.New(store, store, records)
}

func provideVerifier(lc fx.Lifecycle, cfg auth.Config, log *slog.Logger) (*auth.Verifier, error) {
	v, err := auth.New(cfg, log)
	if err != nil {
		return nil, err
	}
	if warning := cfg.Warning(); warning != "" {
		log.Warn("app: the configuration accepts more tokens than you may want", "because", warning)
	}
	lc.Append(fx.Hook{OnStart: v.Start, OnStop: v.Stop})
	return v, nil
}

// provideRevocations returns the revoked tokens. It starts them after the database.
func provideRevocations(lc fx.Lifecycle, cfg auth.Config, db *database.DB, log *slog.Logger) *auth.Revocations {
	r := auth.NewRevocations(cfg, sqltokens.New(db), log)
	lc.Append(fx.Hook{OnStart: r.Start, OnStop: r.Stop})
	return r
}

func (o options) authenticator(v *auth.Verifier, revoked *auth.Revocations) socket.Authenticator {
	if o.auth != nil {
		return o.auth
	}
	return socket.Tokens(revoked.Guard(v.Verify))
}

// announce announces the node on the Redis servers with the identity of its database. While
// nodes of another deployment use the same prefix, the node is not ready and its sockets
// are closed. Of the fx hooks that need the database, this must be the first.
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
	Bridge  *nodebridge.Bridge   `optional:"true"`

	Registerer prometheus.Registerer
}

// redisCheck returns the name of the check of a role.
func redisCheck(role redisrole.Role) string { return "redis." + string(role) }

// watchDependencies adds the dependencies to /readyz and /metrics.
func watchDependencies(d dependencies) error {
	if err := d.Health.Add("database", web.Required, d.DB.Ping); err != nil {
		return err
	}
	d.Registerer.MustRegister(dependencyMetrics{d.Health})
	for _, role := range redisrole.Roles() {
		check := func(ctx context.Context) error { return d.Clients.Health(ctx, role) }
		switch {
		case role == redisrole.Socket:
			check = d.Hub.Health // checks the adapter in use
		case role == redisrole.Cache && d.Cache != nil:
			check = d.Cache.Health // checks the server in use, which a move may change
		case role == redisrole.Group && d.Group != nil:
			check = d.Group.Health
		case !d.Clients.Uses(role):
			check = func(context.Context) error { return nil }
		}
		if err := d.Health.Add(redisCheck(role), web.Degradable, check); err != nil {
			return err
		}
	}
	if d.Bridge != nil {
		return d.Health.Add("bridge", web.Degradable, d.Bridge.Health)
	}
	return nil
}

// ready sets the state of the node. It is invoked last, after everything else has started.
// The key of cursors is the same on all nodes of a database.
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

// rootCause returns the cause of an error without the text that fx adds.
func rootCause(err error) error {
	if err == nil {
		return nil
	}
	return dig.RootCause(err)
}
