package e2e

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/cachetest"
	"github.com/moim-live/moim/modules/cache/rediscache"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/presencetest"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// documentedRules returns the ACL rules that docs/redis.md gives a role's user, without name and
// password. role can also be "ROLE needs on a cluster".
func documentedRules(t *testing.T, role string) []string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if rules, ok := strings.CutPrefix(line, "ACL SETUSER moim-"+role+" "); ok {
			return strings.Fields(strings.TrimPrefix(rules, "on >PASSWORD "))
		}
	}
	t.Fatalf("docs/redis.md has no rules for the %s role", role)
	return nil
}

// limited is a set of Redis servers. Their only user besides the administrator has the documented
// rules of some roles. It records which commands the servers saw.
type limited struct {
	roles []string

	mu   sync.Mutex
	used map[string]bool
}

// start runs such a server and returns its URL. When the test ends, a refused command is an
// error.
func (l *limited) start(t *testing.T) string {
	t.Helper()
	u, _ := l.startWithAdmin(t)
	return u
}

// startWithAdmin also returns a client with all permissions.
func (l *limited) startWithAdmin(t *testing.T) (string, *redis.Client) {
	t.Helper()
	s := redistest.Start(t)
	admin := s.Client()
	l.limit(t, admin)
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("moim", "secret")
	return u.String(), admin
}

// limit creates the limited user on a server.
func (l *limited) limit(t *testing.T, admin *redis.Client) {
	t.Helper()
	for _, role := range l.roles {
		args := []any{"acl", "setuser", "moim", "on", ">secret"}
		for _, rule := range documentedRules(t, role) {
			if rule != "-@all" { // the rules of one role must not take those of another
				args = append(args, rule)
			}
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("the %s role's rules: %v", role, err)
		}
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		refused, err := admin.ACLLog(ctx, 100).Result()
		if err != nil {
			t.Error(err)
		}
		for _, r := range refused {
			t.Errorf("%v: the rules do not allow %s %s (%s)", l.roles, r.Reason, r.Object, r.Context)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for line := range strings.Lines(admin.Info(ctx, "commandstats").Val()) {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			l.used[name] = true
		}
	})
}

// needsAll checks that every command that the rules allow was used.
func (l *limited) needsAll(t *testing.T) {
	t.Helper()
	for _, role := range l.roles {
		for _, rule := range documentedRules(t, role) {
			if command, ok := strings.CutPrefix(rule, "+"); ok && !l.used[command] && command != "hsetnx" { // a role that moves
				t.Errorf("the %s role's rules allow %s, which nothing used", role, command)
			}
		}
	}
}

// clients returns the clients of a node that is registered on a limited server.
func (l *limited) clients(t *testing.T, serverURL, node string) *redisrole.Clients {
	t.Helper()
	clients, err := redisrole.New(redisrole.Config{URL: serverURL}, redisrole.NodeID(node), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	registry := redisrole.NewRegistry(clients, slog.New(slog.DiscardHandler))
	if err := registry.Announce(t.Context(), "database"); err != nil {
		t.Fatal(err)
	}
	for _, role := range redisrole.Roles() {
		if err := clients.Health(t.Context(), role); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		if err := registry.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return clients
}

// TestDocumentedRules runs the whole suite of each role on a server where its user may do exactly
// what docs/redis.md says. It also checks that the rules allow nothing that the role does not
// use.
func TestDocumentedRules(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	for role, suite := range map[string]func(t *testing.T, l *limited){
		"socket": func(t *testing.T, l *limited) {
			adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
				server := l.start(t)
				for i, node := range []string{"a", "b", "c"} {
					one, err := redisadapter.New(l.clients(t, server, node), nil, quiet)
					if err != nil {
						t.Fatal(err)
					}
					opened[i] = one
				}
				return opened
			})
		},
		"group": func(t *testing.T, l *limited) {
			presencetest.Run(t, func(t *testing.T) (opened []presence.Store) {
				server := l.start(t)
				for _, node := range []string{"a", "b", "c"} {
					opened = append(opened, redispresence.New(l.clients(t, server, node), quiet))
				}
				return opened
			})
		},
		"cache": func(t *testing.T, l *limited) {
			cachetest.Run(t, func(t *testing.T, cfg cache.Config) (opened []*cache.Cache) {
				server := l.start(t)
				for _, node := range []string{"a", "b"} {
					one, err := cache.New(cfg, rediscache.New(l.clients(t, server, node), quiet).WithCallTimeout(30*time.Second), quiet)
					if err != nil {
						t.Fatal(err)
					}
					opened = append(opened, one)
				}
				return opened
			})
		},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			l := &limited{roles: []string{role}, used: make(map[string]bool)}
			t.Run("suite", func(t *testing.T) { suite(t, l) })
			t.Run("another deployment is refused", func(t *testing.T) { anotherDeploymentIsRefused(t, l) })
			t.Run("no other role", func(t *testing.T) { whatOtherRolesHaveIsForbidden(t, l, role) })
			l.needsAll(t)
		})
	}
}

// anotherDeploymentIsRefused checks that a node of another database is refused.
func anotherDeploymentIsRefused(t *testing.T, l *limited) {
	t.Helper()
	server := l.start(t)
	clients := l.clients(t, server, "a")
	var refused *redisrole.ForeignError
	if err := redisrole.NewRegistry(clients, slog.New(slog.DiscardHandler)).Announce(t.Context(), "another"); !errors.As(err, &refused) {
		t.Errorf("a node of another database: %v", err)
	}
}

// whatOtherRolesHaveIsForbidden checks that a role's user cannot access the keys and channels of
// other roles.
func whatOtherRolesHaveIsForbidden(t *testing.T, l *limited, role string) {
	t.Helper()
	server, admin := l.startWithAdmin(t)
	opt, err := redis.ParseURL(server)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	defer client.Close()
	forbidden := map[string][]any{
		"socket": {"publish", "moim:room:user:ana", "x"},
		"group":  {"hgetall", "moim:presence:nodes"},
		"cache":  {"get", "moim:cache:group:1"},
	}
	for of, command := range forbidden {
		err := client.Do(t.Context(), command...).Err()
		if denied := err != nil && strings.HasPrefix(err.Error(), "NOPERM"); denied == (of == role) {
			t.Errorf("the %s role's user runs %v: %v, want NOPERM", role, command, err)
		}
	}
	if err := client.FlushAll(t.Context()).Err(); err == nil {
		t.Errorf("the %s role's user may flush the server", role)
	}
	if err := client.Do(t.Context(), "acl", "log", "reset").Err(); err == nil {
		t.Errorf("the %s role's user may manage users", role)
	}
	if err := admin.ACLLogReset(t.Context()).Err(); err != nil { // these refusals were expected
		t.Error(err)
	}
}

// TestRulesOfOneServer runs the main job with one Redis server for all roles. The user has the
// rules of all three roles.
func TestRulesOfOneServer(t *testing.T) {
	t.Parallel()
	l := &limited{roles: []string{"socket", "group", "cache"}, used: make(map[string]bool)}
	server := l.start(t)
	mainJob(t, startCluster(t, 3, "MOIM_REDIS_URL="+server, "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t)))
}

// TestRulesOfTheBridge checks that nodes share rooms with servers of Node. The user has the rules
// of the socket role and the additional rules of the bridge.
func TestRulesOfTheBridge(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "ACL SETUSER moim-socket &")
	line, _, found := strings.Cut(rest, "\n")
	if !found {
		t.Fatal("docs/redis.md has no rules for the bridge")
	}
	l := &limited{roles: []string{"socket"}, used: make(map[string]bool)}
	server, admin := l.startWithAdmin(t)
	args := []any{"acl", "setuser", "moim"}
	rules := strings.Fields("&" + line)
	for _, rule := range rules {
		args = append(args, rule)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	out := socket.NewEmitter(hub)
	gateway, err := socket.New(socket.Config{}, socket.Deps{Hub: hub, Emitter: out, Bridge: newBridge(t, server), Authenticate: socket.Anonymous})
	if err == nil {
		err = errors.Join(hub.Start(t.Context()), gateway.Start(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(gateway)
	conn, _, err := websocket.DefaultDialer.Dial(strings.Replace(web.URL, "http", "ws", 1)+"?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, packet := range []string{"", "40"} { // open, connect
		if packet != "" {
			err = conn.WriteMessage(websocket.TextMessage, []byte(packet))
		}
		if _, _, readErr := conn.ReadMessage(); err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
	}
	_, err = out.All().Sockets(t.Context())
	if err = errors.Join(err, out.All().Emit(t.Context(), "event")); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	for _, rule := range rules {
		command, isCommand := strings.CutPrefix(rule, "+")
		need(t, soon, "the bridge uses "+rule, func() bool {
			return !isCommand || strings.Contains(admin.Info(t.Context(), "commandstats").Val(), "cmdstat_"+command+":")
		})
	}
	if err := errors.Join(gateway.Stop(t.Context()), hub.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	web.Close()
}

// TestRulesOfACluster does the same as TestRulesOfOneServer on a cluster.
func TestRulesOfACluster(t *testing.T) {
	t.Parallel()
	l := &limited{roles: []string{"socket", "group", "cache", "ROLE"}, used: make(map[string]bool)}
	c := redistest.StartCluster(t, 3)
	t.Run("main job", func(t *testing.T) {
		for _, server := range append(slices.Clone(c.Masters), c.Replicas...) {
			l.limit(t, server.Client())
		}
		server := strings.Replace(c.URL(), "://", "://moim:secret@", 1)
		mainJob(t, startCluster(t, 2, "MOIM_REDIS_URL="+server, "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t)))
	})
	for _, command := range documentedRules(t, "ROLE") {
		if !l.used[strings.TrimPrefix(command, "+")] {
			t.Errorf("the rules of a cluster allow %s, which nothing used", command)
		}
	}
}
