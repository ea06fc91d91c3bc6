// Package app puts the modules together: it is the only one that knows all of
// them, and it holds the one switch between backends.
//
// A program embeds Moim in one of three ways: [New] without fx, [Module] with
// fx, or package socket alone. [NewServer] is what the moim binary runs.
package app

import (
	"context"
	"fmt"

	"github.com/gin-gonic/gin"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/socket"
)

// App is Moim inside another program. Mount its routes, start it, stop it.
type App struct {
	// Emitter sends to rooms and users on every node.
	Emitter *socket.Emitter

	routes *Routes
	fx     *fx.App
}

// New builds Moim from cfg, which config.Load made, or a literal. It does
// no I/O: a mistake in cfg or opts is its only error.
func New(cfg config.Config, opts ...Option) (*App, error) {
	a := &App{}
	a.fx = fx.New(
		fx.NopLogger,
		fx.Supply(collect(opts).log),
		fx.StopTimeout(cfg.Drain.Deadline),
		Module(cfg, opts...),
		fx.Populate(&a.Emitter, &a.routes),
	)
	if err := a.fx.Err(); err != nil {
		return nil, rootCause(err)
	}
	return a, nil
}

// Mount adds Moim's routes to router: an engine, or a group with a prefix of
// its own. Call it once, before the router serves.
func (a *App) Mount(router gin.IRouter) { a.routes.Mount(router) }

// Start opens the database and the connections and returns once the node is
// ready. After an error nothing is left running.
func (a *App) Start(ctx context.Context) error { return rootCause(a.fx.Start(ctx)) }

// Stop tells the sockets, closes them and ends everything that Start began,
// within ctx.
func (a *App) Stop(ctx context.Context) error {
	if err := a.fx.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
