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

// Reloader changes settings while the node runs.
type Reloader struct {
	parts   reloaderParams
	options options

	mu  sync.Mutex
	cfg config.Config // in force
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

// Reload changes auth.secret, auth.secret.previous, http.origins and limit.* at once to
// those of cfg, and log.level if the program has passed [WithLogLevel]. No connection is
// closed. It logs the names of the other keys that have changed: they change at the next
// start. If it returns an error, nothing has changed. It may be called concurrently.
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

// merge returns the configuration in force with what can change at once.
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

// apply sets everything that can change. The configuration is valid, so errors are bugs.
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
