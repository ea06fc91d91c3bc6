package app

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/moim-live/moim/config"
)

// Serve runs a node until SIGTERM or SIGINT, and then drains it. A second signal ends the
// process at once. If cfg has no auth key, Serve uses the development secret: see
// [DevelopmentSecret]. SIGHUP reloads the configuration: see [WithReload]. If
// OTEL_EXPORTER_OTLP_ENDPOINT is set, Serve sends traces there. If systemd passes sockets,
// Serve uses them instead of http.addr, metrics.addr and debug.addr.
func Serve(cfg config.Config, opts ...Option) error {
	given, err := inherit()
	if err != nil {
		return err
	}
	if len(given) > 0 {
		opts, cfg = append(opts, func(o *options) { o.inherited = given }), given.in(cfg)
		if err := cfg.Validate(collect(opts).roles()...); err != nil {
			return err
		}
	}
	cfg, err = DevelopmentSecret(cfg, collect(opts).log)
	if err != nil {
		return err
	}
	o := collect(opts)
	traces, err := tracingFromEnvironment(context.Background(), o.version, o.log)
	if err != nil {
		return err
	}
	if traces != nil {
		opts = append(opts, WithTracerProvider(traces))
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), tracingStop)
			defer cancel()
			_ = traces.Shutdown(ctx) // the error handler has logged what was lost
		}()
	}
	server, err := NewServer(cfg, opts...)
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	context.AfterFunc(ctx, release) // the next signal ends the process
	if load := o.load; load != nil {
		developing := cfg.HTTP.LoopbackOrigins
		server.reload = func() (config.Config, error) {
			cfg, err := load()
			cfg = given.in(cfg)
			switch {
			case err != nil:
				return cfg, err
			case cfg.Auth.Empty() && !developing:
				return cfg, errNoKey
			}
			return DevelopmentSecret(cfg, server.log)
		}
		received, release := hangups()
		defer release()
		server.hangup = received
	}
	return server.Run(ctx)
}

// errNoKey prevents a public node from switching to the development secret, which is in a
// file.
var errNoKey = errors.New("it has no key for tokens, and only a node that was started without one uses the development secret: is the file empty, or gone?")

// Run starts the node, serves until ctx ends or the listener fails, and drains for
// at most drain.deadline. If ctx ends before the node is ready, Run returns nil.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		if ctx.Err() == nil {
			return err
		}
		s.log.InfoContext(context.WithoutCancel(ctx), "app: stopped before it was ready")
		return nil
	}
	failed := s.serve(ctx)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain.Deadline)
	defer cancel()
	return errors.Join(failed, s.Stop(drain))
}

// serve waits until ctx ends or the listener fails. Meanwhile it reloads the configuration
// on request.
func (s *Server) serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-s.hangup:
			cfg, err := s.reload()
			if err == nil {
				err = s.app.Reload(ctx, cfg)
			}
			if err != nil {
				s.log.ErrorContext(ctx, "app: the configuration was not reloaded, and nothing has changed", "err", err)
			}
		}
	}
}
