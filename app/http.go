package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/front"
	"github.com/moim-live/moim/internal/nowait"
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
	app      *App
	cfg      config.Config
	log      *slog.Logger
	http     *http.Server
	listener *front.Listener // nil: not started
	failed   chan error
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
	return &Server{
		app: a,
		cfg: cfg,
		log: collect(opts).log,
		http: &http.Server{
			Handler:           engine,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       requestTimeout,
			WriteTimeout:      answerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(collect(opts).log.Handler(), slog.LevelDebug),
		},
		failed: make(chan error, 1),
	}, nil
}

// Start takes the address, so that one in use is found before anything else
// happens, starts the node and begins to answer. It returns once the node is
// ready.
func (s *Server) Start(ctx context.Context) error {
	listener, err := nowait.Listen(ctx, s.cfg.HTTP.Addr)
	if err != nil {
		return fmt.Errorf("http.addr: %w", err)
	}
	if err := s.app.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.listener = front.New(listener, front.Config{
		Handler:   s.http.Handler,
		Sockets:   []string{socketIOPath, plainPath},
		Calls:     s.app.routes.api.IsShort,
		Timeout:   s.http.ReadHeaderTimeout,
		Idle:      s.http.IdleTimeout,
		MaxHeader: maxHeader,
		Log:       s.log,
	})
	go func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	s.log.Info("app: listening", "addr", s.Addr(), "url", "http://"+s.Addr())
	return nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

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

// finish takes no requests any more and waits for those under way, until ctx
// ends: the clients of those that are left are cut off.
func (s *Server) finish(ctx context.Context) error {
	failed := s.http.Shutdown(ctx)
	if s.listener != nil {
		failed = errors.Join(failed, s.listener.Stop(ctx))
	}
	if failed == nil || ctx.Err() == nil {
		return failed
	}
	s.log.Warn("app: clients that were too slow are cut off", "err", failed)
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
