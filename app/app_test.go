package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	childtest.VerifyMain(childtest.Main(m))
}

const secret = "a secret of at least thirty-two bytes"

// TestMountedUnderAPrefix embeds Moim without fx, next to other routes.
func TestMountedUnderAPrefix(t *testing.T) {
	t.Parallel()
	router := gin.New()
	router.GET("/", func(c *gin.Context) { c.Status(http.StatusTeapot) })
	moim := start(t, config.Config{}, router.Group("/rt"))
	server := serve(t, router)

	for path, want := range map[string]int{
		"/": http.StatusTeapot, "/rt/healthz": http.StatusOK, "/rt/openapi.json": http.StatusOK,
		"/rt/docs": http.StatusOK, "/rt/metrics": http.StatusOK, "/rt/v1/me/groups": http.StatusUnauthorized, "/v1/me/groups": http.StatusNotFound,
	} {
		if got := get(t, server.URL+path, ""); got.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, got.StatusCode, want)
		}
	}
	await(t, func() bool { return get(t, server.URL+"/rt/readyz", "").StatusCode == http.StatusOK }) // a busy machine may answer late once
	if err := moim.Emitter.To("lobby").Emit(t.Context(), "news", "hello"); err != nil {
		t.Error(err)
	}
}

// TestGivenClients passes the program's own clients to Moim. Moim must use them and must not
// close them.
func TestGivenClients(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	cfg := config.Config{}
	cfg.Database.URL = pgtest.Start(t).NewDatabase(t)
	moim, err := app.New(complete(t, cfg), app.WithLogger(slog.New(slog.DiscardHandler)),
		app.WithRedis(redisrole.Socket, client), app.WithRedis(redisrole.Group, client), app.WithRedis(redisrole.Cache, client))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	moim.Mount(router)
	if err := moim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := client.Keys(t.Context(), "moim:*").Result()
	if err != nil || len(keys) == 0 {
		t.Errorf("the given client's server holds %v, %v", keys, err)
	}
	if err := moim.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the given client was closed: %v", err)
	}
}

// TestForeignDeployment checks that a node with another database is refused.
func TestForeignDeployment(t *testing.T) {
	t.Parallel()
	cfg := config.Config{}
	cfg.Redis.URL = redistest.Start(t).URL()
	start(t, cfg, gin.New())
	second, err := app.New(complete(t, cfg), app.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	err = second.Start(t.Context())
	var foreign *redisrole.ForeignError
	if !errors.As(err, &foreign) {
		t.Errorf("started beside another deployment: %v", err)
	}
	if err := second.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestStartsWhileRedisIsDown checks that a node without Redis serves what needs no Redis, and
// reports what is missing.
func TestStartsWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	redisServer := redistest.Start(t)
	redisServer.Kill()
	cfg := config.Config{}
	cfg.Redis.URL = redisServer.URL()
	router := gin.New()
	start(t, cfg, router)
	server := serve(t, router)
	if got := get(t, server.URL+"/v1/me/groups", tokenOf(t)); got.StatusCode != http.StatusOK {
		t.Errorf("my groups: %d", got.StatusCode)
	}
	await(t, func() bool { return readiness(t, server) == "degraded" })
	redisServer.Restart()
	await(t, func() bool { return readiness(t, server) == "ready" })
}

func TestMistakesAreReported(t *testing.T) {
	t.Parallel()
	cfg := complete(t, config.Config{})
	cfg.Redis.SocketURL = "redis://localhost:6379"
	cfg.Auth.Secret = "short"
	_, err := app.New(cfg)
	if err == nil || !strings.Contains(err.Error(), "redis.group.url") || !strings.Contains(err.Error(), "auth.secret") {
		t.Errorf("err = %v", err)
	}
}

// TestServer runs a whole node with its listener.
func TestServer(t *testing.T) {
	t.Parallel()
	cfg := complete(t, config.Config{})
	cfg.HTTP.Addr = "127.0.0.1:0"
	server, err := app.NewServer(cfg, app.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, "http://"+server.Addr()+"/nowhere", ""); got.StatusCode != http.StatusNotFound ||
		got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("an unknown route: %d %s", got.StatusCode, got.Header.Get("Content-Type"))
	}
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// complete adds what every node needs.
func complete(t *testing.T, cfg config.Config) config.Config {
	t.Helper()
	cfg.Auth.Secret = secret
	cfg.Data.Dir = databasetest.Dir(t)
	return cfg
}

func start(t *testing.T, cfg config.Config, router gin.IRouter, opts ...app.Option) *app.App {
	t.Helper()
	moim, err := app.New(complete(t, cfg), append([]app.Option{app.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	moim.Mount(router)
	if err := moim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := moim.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return moim
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return server
}

func tokenOf(t *testing.T) string {
	t.Helper()
	text, err := auth.Mint([]byte(secret), auth.Identity{UserID: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func get(t *testing.T, url, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func readiness(t *testing.T, server *httptest.Server) string {
	t.Helper()
	var report struct{ Status string }
	if err := json.NewDecoder(get(t, server.URL+"/readyz", "").Body).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return report.Status
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited too long")
		}
	}
}
