package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/socket"
)

// Reloader changes settings while the node is running.
type Reloader struct {
	parts   reloaderParams
	options options

	mu  sync.Mutex
	cfg config.Config // the configuration in force
}

type reloaderParams struct {
	fx.In

	Log      *slog.Logger
	Verifier *auth.Verifier
	Mover    *redismove.Mover
	Limits   *limit.Limits
	Gateway  *socket.Gateway
	Routes   *Routes
}

func (o options) reloader(cfg config.Config) func(reloaderParams) *Reloader {
	return func(p reloaderParams) *Reloader { return &Reloader{parts: p, options: o, cfg: cfg} }
}

// Reload applies auth.secret, auth.secret.previous, http.origins and limit.* of cfg at
// once, and log.level if the program uses [WithLogLevel]. It closes no connection. It logs
// the names of other changed keys; these change at the next start. If it returns an error,
// nothing has changed. Reload is safe for concurrent use.
func (r *Reloader) Reload(ctx context.Context, cfg config.Config) error {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(r.options.roles()...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.merge(cfg)
	if err := next.Validate(r.options.roles()...); err != nil {
		return fmt.Errorf("with the settings that change at the next start only: %w", err)
	}
	if next.Auth.Empty() && !r.cfg.Auth.Empty() {
		return errNoKeyLeft
	}
	changed := r.cfg.Changes(next)
	if err := r.apply(next); err != nil {
		return err
	}
	r.cfg = next
	r.parts.Log.InfoContext(ctx, "app: reloaded the configuration", "changed", strings.Join(changed, " "))
	for _, key := range next.Changes(cfg) {
		r.parts.Log.WarnContext(ctx, "app: a changed setting needs a restart", "key", key)
	}
	return nil
}

// Config returns the configuration in force.
func (r *Reloader) Config() config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

var errNoKeyLeft = errors.New("no key for tokens would be left: auth.jwks.url and auth.public.key change at the next start only")

// merge returns the configuration in force with the changes that can be applied at once.
func (r *Reloader) merge(cfg config.Config) config.Config {
	next := r.cfg
	if r.options.level != nil {
		next.Log.Level = cfg.Log.Level
	}
	next.Auth.Secret, next.Auth.PreviousSecret = cfg.Auth.Secret, cfg.Auth.PreviousSecret
	next.HTTP.Origins, next.HTTP.LoopbackOrigins = cfg.HTTP.Origins, cfg.HTTP.LoopbackOrigins
	next.Limit = cfg.Limit
	return next
}

// apply applies all changes. The configuration is valid, so an error is a bug.
func (r *Reloader) apply(cfg config.Config) error {
	p := r.parts
	err := errors.Join(
		p.Limits.Set(cfg.Limit),
		p.Gateway.SetOrigins(socket.Origins{Allowed: cfg.HTTP.Origins, Loopback: cfg.HTTP.LoopbackOrigins}),
	)
	p.Routes.setOrigins(cfg.HTTP)
	p.Mover.SetSecret(redismove.Secret{Key: cfg.Auth.Secret, Previous: cfg.Auth.PreviousSecret})
	p.Verifier.SetSecrets(cfg.Auth.Secret, cfg.Auth.PreviousSecret)
	p.Routes.remembered.Forget()
	if r.options.level != nil {
		err = errors.Join(err, r.options.level.UnmarshalText([]byte(cfg.Log.Level)))
	}
	return err
}
