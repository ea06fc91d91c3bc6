// Package app wires the modules together. It is the only package that knows all of them,
// and it chooses between backends in this process and on Redis.
//
// A program embeds Moim in one of three ways: with [New], with [Module] in an fx program,
// or with package socket alone. The moim binary runs [Serve].
package app

import (
	"context"
	"fmt"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/console"
	"github.com/moim-live/moim/modules/socket"
)

// App is Moim inside another program. Mount it, start it, and later stop it.
type App struct {
	// Emitter sends to rooms and users on every node.
	Emitter *socket.Emitter

	routes   *Routes
	reloader *Reloader
	console  *console.Console
	fx       *fx.App
}

// New builds Moim from cfg, which may be a literal or from config.Load. It does no I/O. It
// returns an error if cfg or opts are invalid.
func New(cfg config.Config, opts ...Option) (*App, error) {
	a := &App{}
	a.fx = fx.New(
		fx.NopLogger,
		fx.Supply(collect(opts).log),
		fx.StopTimeout(cfg.Drain.Deadline),
		Module(cfg, opts...),
		fx.Populate(&a.Emitter, &a.routes, &a.reloader, &a.console),
	)
	if err := a.fx.Err(); err != nil {
		return nil, rootCause(err)
	}
	return a, nil
}

// Mount adds Moim's routes to router: an engine, or a group with a prefix. Call it
// once, before the router serves.
func (a *App) Mount(router gin.IRouter) { a.routes.Mount(router) }

// MountConsole adds the operators' console to router at /console/. Mount does not do this.
// Call it once, before the router serves.
func (a *App) MountConsole(router gin.IRouter) { a.console.Mount(router) }

// Start opens the database and the connections. It returns when the node is
// ready. If it fails, it stops what it has started.
func (a *App) Start(ctx context.Context) error { return rootCause(a.fx.Start(ctx)) }

// Reload changes settings while the node is running: see [Reloader.Reload].
func (a *App) Reload(ctx context.Context, cfg config.Config) error {
	return a.reloader.Reload(ctx, cfg)
}

// Stop notifies the sockets, closes them and stops everything. It returns an
// error if ctx ends first.
func (a *App) Stop(ctx context.Context) error {
	if err := a.fx.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
