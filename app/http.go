package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
)

const (
	// No client holds a connection by being slow: these bound how long the
	// header, the whole request and its answer may be under way, and how long
	// a connection may be silent between requests. Sockets have heartbeats
	// instead.
	headerTimeout  = 10 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeader      = 32 << 10

	// socketShare is the part of the time to stop that sockets are closed over,
	// requestShare that of what is left then for the requests under way. A
	// client that is slower is cut: the rest of the node needs time, too.
	socketShare  = 4
	requestShare = 2
)

// Server is a whole node: Moim with a listener of its own. It is what the moim
// binary runs.
type Server struct {
	app    *App
	cfg    config.Config
	log    *slog.Logger
	http   *http.Server
	addr   net.Addr // nil: not started
	failed chan error
}

// NewServer builds a node from cfg. It does no I/O.
func NewServer(cfg config.Config, opts ...Option) (*Server, error) {
	a, err := New(cfg, opts...)
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("set up the router: %w", err)
	}
	a.Mount(engine)
	a.routes.api.Own(engine)
	log := collect(opts).log
	return &Server{
		app: a,
		cfg: cfg,
		log: log,
		http: &http.Server{
			Handler:           engine,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       requestTimeout,
			WriteTimeout:      answerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		failed: make(chan error, 1),
	}, nil
}

// Start takes the address, so that one in use is found before anything else
// happens, starts the node and begins to answer. It returns once the node is
// ready.
func (s *Server) Start(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.HTTP.Addr)
	if err != nil {
		return fmt.Errorf("http.addr: %w", err)
	}
	if err := s.app.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.addr = listener.Addr()
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	s.log.Info("app: listening", "addr", s.Addr(), "url", "http://"+s.Addr())
	return nil
}

// Addr returns the address that the server listens on. Call it after Start.
func (s *Server) Addr() string { return s.addr.String() }

// Failed delivers the error that ended the listener, if one does.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop drains: readiness fails first, then the sockets are told and closed
// over a part of the time that ctx leaves, open requests finish within another,
// and the rest follows.
func (s *Server) Stop(ctx context.Context) error {
	s.log.Info("app: draining")
	sockets, cancel := part(ctx, socketShare)
	failed := s.app.routes.Drain(sockets)
	cancel()
	requests, cancel := part(ctx, requestShare)
	failed = errors.Join(failed, s.finish(requests))
	cancel()
	return errors.Join(failed, s.app.Stop(ctx))
}

// finish accepts no more requests and waits for open ones until ctx ends. Then
// it closes the connections of those that are left.
func (s *Server) finish(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	s.log.Warn("app: open requests are cut off", "err", err)
	return s.http.Close()
}

// part ends after a share of the time that ctx has left.
func part(ctx context.Context, share time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/share)
}
