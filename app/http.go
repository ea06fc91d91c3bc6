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
	// instead. The request's is shorter than the time to drain.
	headerTimeout  = 10 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeader      = 32 << 10

	// drainShare is the part of the time to stop that sockets are closed over.
	drainShare = 4
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

// Start begins to listen, then starts the node: until it is ready, /readyz
// says so. It returns once it is.
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
// over a part of the time that ctx leaves, open requests finish, and the rest
// follows.
func (s *Server) Stop(ctx context.Context) error {
	drain := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		drain, cancel = context.WithTimeout(ctx, time.Until(deadline)/drainShare)
		defer cancel()
	}
	s.log.Info("app: draining")
	failed := errors.Join(s.app.routes.Drain(drain), s.http.Shutdown(ctx))
	if s.listener != nil {
		failed = errors.Join(failed, s.listener.Stop(ctx))
	}
	return errors.Join(failed, s.app.Stop(ctx))
}
