package app

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/moim-live/moim/config"
)

// Serve runs a node until SIGTERM or SIGINT, and then drains it. A second signal
// ends the process at once. If cfg has no auth key, Serve uses the development
// secret: see [DevelopmentSecret].
func Serve(cfg config.Config, opts ...Option) error {
	cfg, err := DevelopmentSecret(cfg, collect(opts).log)
	if err != nil {
		return err
	}
	server, err := NewServer(cfg, opts...)
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	context.AfterFunc(ctx, release) // the next signal ends the process
	return server.Run(ctx)
}

// Run starts the node, serves until ctx ends or the listener fails, and drains for
// at most drain.deadline.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain.Deadline)
	defer cancel()
	return errors.Join(failed, s.Stop(drain))
}
