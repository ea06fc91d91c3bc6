package app

import (
	"log/slog"

	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Option is something that a program injects into Moim, apart from what an
// operator configures.
type Option func(*options)

type options struct {
	log      *slog.Logger
	redis    redisrole.GivenClients
	adapter  adapter.Adapter
	auth     socket.Authenticator
	handlers []socket.Handler
	version  string
	modules  []fx.Option
}

func collect(opts []Option) options {
	o := options{log: slog.Default(), redis: redisrole.GivenClients{}, version: "dev"}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// roles returns the roles for which clients were given.
func (o options) roles() []redisrole.Role {
	roles := make([]redisrole.Role, 0, len(o.redis))
	for role := range o.redis {
		roles = append(roles, role)
	}
	return roles
}

// WithLogger makes an [App] or [Server] log to log instead of slog.Default().
func WithLogger(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// WithRedis makes a role use a client that the program has already. Moim
// subscribes on a duplicate of it and never closes it.
func WithRedis(role redisrole.Role, client redis.UniversalClient) Option {
	return func(o *options) { o.redis[role] = client }
}

// WithAdapter makes a carry envelopes between the nodes, whatever
// socket.adapter says. Moim starts and stops it.
func WithAdapter(a adapter.Adapter) Option { return func(o *options) { o.adapter = a } }

// WithAuthenticator makes authenticate decide who a socket speaks for, instead
// of the token verifier. HTTP goes on to need tokens.
func WithAuthenticator(authenticate socket.Authenticator) Option {
	return func(o *options) { o.auth = authenticate }
}

// WithHandlers adds socket events of the program's own.
func WithHandlers(handlers ...socket.Handler) Option {
	return func(o *options) { o.handlers = append(o.handlers, handlers...) }
}

// WithModule adds to what Moim is put together from: constructors, by
// fx.Provide, that want Moim's own (*group.Service, *api.Gateway,
// *socket.Emitter …) and provide handlers (socket.AsHandlers) or a
// group.Translator.
func WithModule(opts ...fx.Option) Option {
	return func(o *options) { o.modules = append(o.modules, opts...) }
}

// WithVersion sets the version that the OpenAPI document shows.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }
