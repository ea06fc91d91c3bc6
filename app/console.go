package app

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/console"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/socket"
)

type consoleParams struct {
	fx.In
	fx.Lifecycle

	Config   console.Config
	Mint     console.Mint
	Version  version
	Routes   *Routes
	Reloader *Reloader
	Groups   *group.Service
	Hooks    *hook.Service
	Group    group.Config
	Out      *socket.Emitter
	Log      *slog.Logger
}

// provideConsole returns the console. It has no start.
func provideConsole(p consoleParams) *console.Console {
	parts := p.Routes.parts
	c := console.New(p.Config, console.Deps{
		Version: string(p.Version), Node: p.Out.NodeID, Mint: p.Mint,
		Verify: parts.Revoked.Guard(p.Routes.remembered.Verify), Proxies: parts.Config.TrustedProxies(),
		Groups: p.Groups, Hooks: consoleHooks{p.Hooks}, Users: p.Out, Tokens: parts.Revoked, Grace: p.Group.WithDefaults().PresenceGrace, Nodes: p.Out, Log: p.Log,
		Settings: func() []console.Setting { return settings(p.Reloader.Config()) },
	})
	p.Append(fx.StopHook(c.Stop))
	return c
}

// settings returns the settings as the console shows them.
func settings(cfg config.Config) []console.Setting {
	all := cfg.Settings()
	shown := make([]console.Setting, 0, len(all))
	for _, s := range all {
		shown = append(shown, console.Setting{Name: s.Name, Value: s.Value, Source: s.Source, Help: s.Help})
	}
	return shown
}

// demonstration returns the function that signs tokens in development mode, or nil outside
// of that mode.
func demonstration(cfg config.Config) console.Mint {
	if !cfg.HTTP.LoopbackOrigins {
		return nil
	}
	return cfg.Auth.Mint
}
