package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/web"
)

// listenerStop limits how long operators' requests delay a stop, because a profile may take
// half a minute.
const listenerStop = 2 * time.Second

// profileTimeout limits the duration of a profile or a trace.
const profileTimeout = 5 * time.Minute

var errNoProfiles = errors.New("debug.addr: this program has no profiles to serve there: pass app.WithProfiles, or leave debug.addr empty")

// listenForOperators serves the metrics and the profiles at their own addresses. It is
// invoked first, so that they are available while the other modules start and stop.
func (o options) listenForOperators(cfg config.Config) func(fx.Lifecycle, *prometheus.Registry, *slog.Logger) error {
	return func(lc fx.Lifecycle, registry *prometheus.Registry, log *slog.Logger) error {
		if addr := cfg.Metrics.Addr; addr != "" {
			mux := http.NewServeMux()
			mux.Handle("GET "+web.MetricsPath, web.Metrics(registry))
			o.newListener("metrics.addr", addr, mux, responseTimeout, log).hook(lc)
		}
		switch addr := cfg.Debug.Addr; {
		case addr == "":
		case o.profiles == nil:
			return errNoProfiles
		default:
			o.newListener("debug.addr", addr, guardProfiles(o.profiles, cfg.Debug.Public), profileTimeout, log).hook(lc)
		}
		return nil
	}
}

// guardProfiles protects profiles from web pages, because profiles contain secrets such as
// the command line. A page cannot read them through a link, or by making its own name
// resolve to this machine.
func guardProfiles(profiles http.Handler, public bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Sec-Fetch-Site") == "cross-site":
			http.Error(w, "profiles are not for other sites", http.StatusForbidden)
		case !public && !origins.LoopbackHost(r.Host):
			http.Error(w, "ask for profiles by localhost or 127.0.0.1, or set debug.public", http.StatusForbidden)
		default:
			profiles.ServeHTTP(w, r)
		}
	})
}

// listener is an HTTP server at the address of a configuration key.
type listener struct {
	inherited inherited
	key, addr string
	http      *http.Server
	log       *slog.Logger
	serving   *tasks.Group
}

// newListener returns a listener that is not open yet. timeout limits an answer; 0 means no
// limit.
func (o options) newListener(key, addr string, handler http.Handler, timeout time.Duration, log *slog.Logger) *listener {
	return &listener{inherited: o.inherited, key: key, addr: addr, log: log, serving: tasks.New(), http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, WriteTimeout: timeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

func (l *listener) hook(lc fx.Lifecycle) {
	lc.Append(fx.Hook{OnStart: l.start, OnStop: tasks.Within(listenerStop, l.stop)})
}

func (l *listener) start(ctx context.Context) error {
	open, err := l.inherited.listen(ctx, l.key, l.addr)
	if err != nil {
		return err
	}
	l.serving.Run(func(ctx context.Context) {
		if err := l.http.Serve(open); !errors.Is(err, http.ErrServerClosed) {
			l.log.ErrorContext(ctx, "app: a listener ended", "key", l.key, "err", err)
		}
	})
	l.log.InfoContext(ctx, "app: listening for operators", "key", l.key, "addr", open.Addr().String())
	return nil
}

// stop closes the listener, and the connections of requests that take too long.
func (l *listener) stop(ctx context.Context) error {
	if l.http.Shutdown(ctx) != nil {
		_ = l.http.Close()
	}
	return l.serving.Stop(context.WithoutCancel(ctx))
}
