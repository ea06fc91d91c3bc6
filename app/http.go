package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/web"
)

const (
	// These timeouts limit how long a slow client can hold a connection. Sockets have
	// heartbeats instead.
	headerTimeout   = 10 * time.Second
	requestTimeout  = 15 * time.Second
	responseTimeout = time.Minute
	idleTimeout     = 2 * time.Minute
	maxHeader       = 32 << 10 // bytes

	// Stop uses 1/socketShare of its time to close sockets, and 1/requestShare of the rest
	// to wait for requests. Then it closes their connections, because the other modules
	// also need time to stop.
	socketShare  = 4
	requestShare = 2
)

// Server is a node: Moim with its own listener.
type Server struct {
	app    *App
	cfg    config.Config
	log    *slog.Logger
	http   *http.Server
	addr   net.Addr // nil before Start
	failed chan error

	inherited inherited

	hangup <-chan os.Signal // nil if reloading is not supported
	reload func() (config.Config, error)
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
		return nil, fmt.Errorf("configure the router: %w", err)
	}
	engine.Use(web.ReadRest, web.RefuseUntilStarted(a.routes.parts.Health))
	a.Mount(engine)
	a.routes.api.Own(engine)
	a.console.Register(engine)
	log := collect(opts).log
	conns := &connections{
		limits: a.routes.parts.Limits, sockets: a.routes.parts.Gateway.Len,
		trusted: cfg.HTTP.TrustedProxies(), clients: map[net.Conn]*client{}, users: map[string]int{},
	}
	if err := a.routes.parts.Health.Add("node.sockets", web.Degradable, conns.check); err != nil {
		return nil, err
	}
	s := &Server{
		app: a,
		cfg: cfg,
		log: log,
		http: &http.Server{
			Handler:           engine,
			Protocols:         protocols(),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       requestTimeout,
			WriteTimeout:      responseTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
			ConnState:         conns.changed,
			ConnContext:       conns.context,
		},
		failed: make(chan error, 1),

		inherited: collect(opts).inherited,
	}
	s.http.RegisterOnShutdown(a.console.Stop)
	return s, nil
}

// protocols returns HTTP/1.1, and HTTP/2 without TLS for proxies that use it.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

// Start listens, serves and starts the node. It listens first, so that it fails early if
// the address is in use, and so that health checks are answered during the start. It
// returns when the node is ready.
func (s *Server) Start(ctx context.Context) error {
	listener, err := s.inherited.listen(ctx, "http.addr", s.cfg.HTTP.Addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr()
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	if err := s.app.Start(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	s.log.InfoContext(ctx, "app: listening", "addr", s.Addr(), "url", "http://"+s.Addr())
	return nil
}

// Addr returns the address of the listener. Call it after Start.
func (s *Server) Addr() string { return s.addr.String() }

// Failed returns a channel that receives the error with which the listener ended, if it
// failed.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop drains the node. First the readiness check fails. Then Stop closes the sockets,
// waits for requests and stops the modules. Each step gets a part of the time until ctx
// ends.
func (s *Server) Stop(ctx context.Context) error {
	began := time.Now()
	s.log.InfoContext(ctx, "app: draining")
	sockets, cancel := part(ctx, socketShare)
	failed := s.app.routes.Drain(sockets)
	cancel()
	requests, cancel := part(ctx, requestShare)
	failed = errors.Join(failed, s.finish(requests))
	cancel()
	failed = errors.Join(failed, s.app.Stop(ctx))
	s.log.InfoContext(ctx, "app: stopped", "took", time.Since(began).Round(time.Millisecond))
	return failed
}

// finish accepts no more requests and waits for running ones until ctx ends. Then it closes
// their connections.
func (s *Server) finish(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	s.log.WarnContext(ctx, "app: closing connections with running requests", "err", err)
	return s.http.Close()
}

// part returns a context with 1/share of the time that ctx has left.
func part(ctx context.Context, share time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/share)
}
