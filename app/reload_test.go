package app_test

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
)

const otherSecret = "another secret of at least 32 bytes"

// TestReload changes the settings of a node while a connection is open.
func TestReload(t *testing.T) {
	t.Parallel()
	out, level := &childtest.Log{}, new(slog.LevelVar)
	cfg := complete(t, config.Config{})
	moim, err := app.New(cfg, app.WithLogger(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))), app.WithLogLevel(level))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	moim.Mount(router)
	if err := moim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moim.Stop(context.Background()) })
	server := serve(t, router)
	old := tokenOf(t)
	conn := dialPlain(t, server.URL, old, "")
	fresh, err := auth.Mint([]byte(otherSecret), auth.Identity{UserID: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	status := func(token string) int { return get(t, server.URL+"/v1/me/groups", token).StatusCode }
	if status(old) != http.StatusOK || status(fresh) != http.StatusUnauthorized {
		t.Fatal("the first secret is not in force")
	}

	wrong := cfg
	wrong.Auth.Secret, wrong.Group.LimitOwned = otherSecret, -1
	if err := moim.Reload(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "group.limit.owned") {
		t.Errorf("an invalid configuration: %v", err)
	}
	empty := cfg // this would remove the only key, because the other key needs a restart
	empty.Auth.Secret, empty.Auth.JWKSURL, empty.HTTP.Addr = "", "https://keys.example.com", "127.0.0.1:1"
	if err := moim.Reload(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("a configuration that leaves no key: %v", err)
	}
	if err := moim.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if status(old) != http.StatusOK || status(fresh) != http.StatusUnauthorized {
		t.Error("a refused configuration has changed something")
	}

	next := cfg
	next.Auth.Secret, next.Log.Level, next.HTTP.Origins = otherSecret, "debug", []string{"https://app.example.com"}
	next.Limit.UserRequests = limit.Rate{Count: 1, Per: time.Hour, Burst: 2}
	next.Group.LimitOwned, next.Redis.Prefix = 7, "other"
	if err := moim.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := status(old); got != http.StatusUnauthorized {
		t.Errorf("the old secret: %d", got)
	}
	got := []int{status(fresh), status(fresh), status(fresh)}
	if got[0] != http.StatusOK || got[2] != http.StatusTooManyRequests {
		t.Errorf("requests with the new secret and limit: %v", got)
	}
	if level.Level() != slog.LevelDebug {
		t.Error("the log level is", level)
	}
	for _, key := range []string{"group.limit.owned", "redis.prefix"} {
		if !strings.Contains(out.String(), "needs a restart\" key="+key) {
			t.Errorf("%s is not named", key)
		}
	}
	if !regexp.MustCompile(`reloaded the configuration" changed="http.origins auth.secret limit.user.requests log.level"`).MatchString(out.String()) {
		t.Error(out)
	}
	dialPlain(t, server.URL, fresh, "https://app.example.com")
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"event":"nobody"}`)); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := conn.ReadMessage(); err != nil || !strings.Contains(string(answer), "unknown_event") {
		t.Errorf("the open connection: %s %v", answer, err)
	}
}

// dialPlain connects a client, with the header Origin if origin is not empty.
func dialPlain(t *testing.T, url, token, origin string) *websocket.Conn {
	t.Helper()
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + token}}
	conn, resp, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/ws", header)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestListenersForOperators serves metrics and profiles on separate addresses.
func TestListenersForOperators(t *testing.T) {
	t.Parallel()
	cfg := complete(t, config.Config{})
	cfg.Metrics.Addr, cfg.Debug.Addr = "127.0.0.1:0", "127.0.0.1:0"
	if _, err := app.New(cfg); err == nil || !strings.Contains(err.Error(), "app.WithProfiles") {
		t.Errorf("without profiles: %v", err)
	}
	out := &childtest.Log{}
	moim, err := app.New(cfg, app.WithLogger(slog.New(slog.NewTextHandler(out, nil))), app.WithProfiles(http.NotFoundHandler()))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	moim.Mount(router)
	if err := moim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`key=(\S+) addr=(\S+)`).FindAllStringSubmatch(out.String(), -1)
	if len(found) != 2 || found[0][1] != "metrics.addr" || found[1][1] != "debug.addr" {
		t.Fatal(out)
	}
	for url, want := range map[string]int{
		"http://" + found[0][2] + "/metrics": http.StatusOK, "http://" + found[0][2] + "/debug/pprof/": http.StatusNotFound,
		"http://" + found[1][2] + "/debug/pprof/": http.StatusNotFound, serve(t, router).URL + "/metrics": http.StatusNotFound,
	} {
		if got := get(t, url, ""); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, got.StatusCode, want)
		}
	}
	cfg.Metrics.Addr, cfg.Data.Dir = found[0][2], t.TempDir()
	second, err := app.New(cfg, app.WithLogger(slog.New(slog.DiscardHandler)), app.WithProfiles(http.NotFoundHandler()))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "metrics.addr: ") {
		t.Errorf("an address in use: %v", err)
	}
	if err := moim.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + found[0][2] + "/metrics"); err == nil { //nolint:noctx // no answer is expected
		t.Error("the metrics are served after the stop")
	}
}
