package app

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Option is something that an embedding program injects into Moim. An operator's settings
// are in config.Config.
type Option func(*options)

type options struct {
	log      *slog.Logger
	redis    redisrole.GivenClients
	adapter  adapter.Adapter
	auth     socket.Authenticator
	handlers []socket.Handler
	version  string
	level    *slog.LevelVar
	load     func() (config.Config, error)
	profiles http.Handler
	tracer   tracing.Tracer
	modules  []fx.Option
	hooks    map[string]hook.Func
	presence map[string]hook.PresenceFunc
	ask      authorize.Func

	inherited inherited
}

func collect(opts []Option) options {
	o := options{log: slog.Default(), redis: redisrole.GivenClients{}, version: "dev", hooks: map[string]hook.Func{}, presence: map[string]hook.PresenceFunc{}}
	for _, opt := range opts {
		opt(&o)
	}
	o.log = requestid.Log(o.log)
	return o
}

// roles returns the roles that have a given client.
func (o options) roles() []redisrole.Role { return slices.Collect(maps.Keys(o.redis)) }

// WithLogger makes an [App] or [Server] log to log. The default is slog.Default().
func WithLogger(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// WithLogLevel makes [App.Reload] set level. The program's logger must use it.
func WithLogLevel(level *slog.LevelVar) Option { return func(o *options) { o.level = level } }

// WithReload makes [Serve] call load on SIGHUP and apply the result, like [App.Reload].
// Windows has no SIGHUP.
func WithReload(load func() (config.Config, error)) Option { return func(o *options) { o.load = load } }

// WithTracerProvider makes Moim trace requests with p. The program must shut p down after
// Moim.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(o *options) { o.tracer = tracing.New(p) }
}

// WithProfiles serves profiles, such as those of net/http/pprof, at debug.addr. Moim does
// not import that package, because it adds routes to http.DefaultServeMux.
func WithProfiles(profiles http.Handler) Option { return func(o *options) { o.profiles = profiles } }

// WithRedis makes a role use a client of the program. Moim subscribes with a duplicate of
// the client. It never closes the client.
func WithRedis(role redisrole.Role, client redis.UniversalClient) Option {
	return func(o *options) { o.redis[role] = client }
}

// WithAdapter makes a carry envelopes between the nodes, regardless of the configuration.
// Moim starts and stops it.
func WithAdapter(a adapter.Adapter) Option { return func(o *options) { o.adapter = a } }

// WithAuthenticator makes authenticate determine the identity of sockets. The default
// verifies tokens. The HTTP API always needs tokens.
func WithAuthenticator(authenticate socket.Authenticator) Option {
	return func(o *options) { o.auth = authenticate }
}

// WithHandlers adds handlers for the program's own socket events.
func WithHandlers(handlers ...socket.Handler) Option {
	return func(o *options) { o.handlers = append(o.handlers, handlers...) }
}

// WithModule adds fx options to Moim. Their constructors may use Moim's types, such as
// *group.Service, *api.Gateway and *socket.Emitter, and may provide handlers
// (socket.AsHandlers) or a group.Translator.
func WithModule(opts ...fx.Option) Option {
	return func(o *options) { o.modules = append(o.modules, opts...) }
}

// WithHook calls fn with the events of each group, in order, beginning at the first start
// with this hook. The database keeps its position in each group under name: lower-case
// letters, digits and hyphens. Of several nodes, one at a time calls fn for a group. If fn
// returns an error or panics, and possibly after a crash, it gets the same events again.
// Use the versions to recognise them.
func WithHook(name string, fn hook.Func) Option { return func(o *options) { o.hooks[name] = fn } }

// WithPresenceHook calls fn with users who come online in a group or go offline, at least
// once: for each user, the last change that fn was not told. name is as in [WithHook], and
// may be the name of such a function, too. Of two changes of a user, the one with the
// larger N is later.
func WithPresenceHook(name string, fn hook.PresenceFunc) Option {
	return func(o *options) { o.presence[name] = fn }
}

// WithGatekeeper calls fn before users do what authorize.events lists, instead of asking a
// back end at authorize.url. docs/authorize.md describes the questions and the answers.
func WithGatekeeper(fn authorize.Func) Option { return func(o *options) { o.ask = fn } }

// WithVersion sets the version in the OpenAPI document.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }
