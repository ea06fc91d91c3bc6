package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/redisrole"
)

const secret = "hunter2-hunter2-hunter2-hunter2-hunter2"

// load loads a configuration from the text of a file, if there is one, the environment and flags.
func load(t *testing.T, file string, environ []string, flags map[string]string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Load(config.Options{Dir: dir, Environ: environ, Flags: flags})
}

func printed(t *testing.T, c config.Config) string {
	t.Helper()
	var buf bytes.Buffer
	if err := c.Print(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// TestContract checks the keys and defaults that operators rely on.
func TestContract(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"http.addr": "127.0.0.1:8080", "http.origins": "", "data.dir": "./data", "database.url": "",
		"redis.url": "", "redis.socket.url": "", "redis.group.url": "", "redis.cache.url": "", "redis.prefix": "moim",
		"auth.secret": "", "auth.jwks.url": "", "auth.public.key": "", "auth.issuer": "", "auth.audience": "",
		"group.presence.grace": "10s", "group.presence.window": "200ms",
		"group.retention.count": "10000", "group.retention.age": "720h",
		"group.limit.owned": "1000", "group.limit.joined": "10000", "group.limit.members": "100000",
		"socket.max.frame": "1000000", "socket.max.backlog": "1048576", "socket.gather": "5ms",
		"socket.ping.interval": "25s", "socket.ping.timeout": "20s", "socket.adapter": "",
		"cache.ttl": "5m", "drain.deadline": "20s", "log.level": "info", "log.format": "",
	}
	got := map[string]string{}
	for _, k := range config.Keys() {
		got[k.Name] = k.Default
		if k.Help == "" {
			t.Errorf("%s has no help", k.Name)
		}
	}
	for name, def := range want {
		if value, ok := got[name]; !ok || value != def {
			t.Errorf("%s: default %q (known: %v), want %q", name, value, ok, def)
		}
	}
	if _, err := load(t, "", nil, nil); err != nil {
		t.Errorf("nothing set: %v", err)
	}
}

// TestKeysThatBeginWithAnother checks that a key can be set from each source, even if another key
// begins with its name.
func TestKeysThatBeginWithAnother(t *testing.T) {
	t.Parallel()
	redis := []string{"MOIM_REDIS_URL=redis://r"}
	for name, c := range map[string]struct {
		file    string
		environ []string
		flags   map[string]string
	}{
		"dotted":         {"socket.bridge: redis-adapter\nsocket.bridge.key: mine\n", redis, nil},
		"nested":         {"socket: {bridge: redis-adapter, bridge.key: mine}", redis, nil},
		"both":           {"socket.bridge: redis-adapter\nsocket: {bridge: {key: mine}}\n", redis, nil},
		"environment":    {"", append([]string{"MOIM_SOCKET_BRIDGE=redis-adapter", "MOIM_SOCKET_BRIDGE_KEY=mine"}, redis...), nil},
		"flags":          {"", redis, map[string]string{"socket.bridge": "redis-adapter", "socket.bridge.key": "mine"}},
		"several layers": {"socket.bridge: redis-adapter\n", redis, map[string]string{"socket.bridge.key": "mine"}},
	} {
		got, err := load(t, c.file, c.environ, c.flags)
		if err != nil || got.Socket.Bridge != "redis-adapter" || got.Socket.BridgeKey != "mine" {
			t.Errorf("%s: %q, %q, %v", name, got.Socket.Bridge, got.Socket.BridgeKey, err)
		}
	}
	if got, err := load(t, "", append([]string{"MOIM_SOCKET_BRIDGE_KEY=mine"}, redis...), nil); err != nil || got.Socket.BridgeKey != "mine" {
		t.Errorf("the longer key alone: %q, %v", got.Socket.BridgeKey, err)
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	file := `
http: {addr: "127.0.0.1:1", origins: [https://a.example, "https://b.example"]}
redis.url: redis://shared
redis:
  socket:
    url: redis://socket
  cache.url: redis://cache
socket.ping.interval: 10s
socket: {max: {frame: 2048}}
group:
log.level: warn
`
	c, err := load(t, file,
		[]string{"PATH=/bin", "MOIM_SOCKET_PING_INTERVAL=11s", "MOIM_LOG_LEVEL=debug", "MOIM_HTTP_ORIGINS=", "MOIM_GROUP_LIMIT_OWNED=5"},
		map[string]string{"log.level": "error", "redis.cache.url": ""})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Addr != "127.0.0.1:1" || c.Redis.URL != "redis://shared" || c.Redis.SocketURL != "redis://socket" || c.Redis.CacheURL != "" ||
		c.Socket.PingInterval != 11*time.Second || c.Socket.MaxFrame != 2048 || c.Log.Level != "error" || c.Group.LimitOwned != 5 ||
		c.Cache.TTL != 5*time.Minute || c.Redis.Prefix != "moim" {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"https://a.example", "https://b.example"}, c.HTTP.Origins); diff != "" {
		t.Error(diff)
	}
	out := printed(t, c)
	for _, want := range []string{
		"log.level: error", "# --log-level", "# MOIM_SOCKET_PING_INTERVAL", "moim.yaml", "cache.ttl: 5m ", "# default",
		"http.origins: https://a.example,https://b.example",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != len(config.Keys()) {
		t.Errorf("%d lines", n)
	}
	c, err = load(t, "", []string{"MOIM_HTTP_ORIGINS=https://a.example, https://b.example"}, nil)
	if err != nil || len(c.HTTP.Origins) != 2 || c.HTTP.Origins[1] != "https://b.example" {
		t.Errorf("%v %v", c.HTTP.Origins, err)
	}
}

// TestDefaultsCanBeSet checks that each key can be set to its default, so a variable or a flag
// can undo a setting of the file.
func TestDefaultsCanBeSet(t *testing.T) {
	t.Parallel()
	for _, k := range config.Keys() {
		if k.Default == "" {
			continue
		}
		if _, err := load(t, "", []string{k.Env() + "=" + k.Default}, nil); err != nil {
			t.Errorf("%s=%s: %v", k.Env(), k.Default, err)
		}
	}
	c, err := load(t, "socket.recovery: 2m", []string{"MOIM_SOCKET_RECOVERY=0s"}, nil)
	if err != nil || c.Socket.Recovery != 0 {
		t.Errorf("recovery for %s, %v", c.Socket.Recovery, err)
	}
}

func TestNamedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.yaml")
	if _, err := config.Load(config.Options{File: path}); err == nil || !strings.Contains(err.Error(), "other.yaml") {
		t.Errorf("a named file that is missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("redis.prefix: other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []config.Options{{File: path}, {Environ: []string{"MOIM_CONFIG=" + path}}} {
		if c, err := config.Load(opts); err != nil || c.Redis.Prefix != "other" {
			t.Errorf("%+v: %v %v", opts, c.Redis.Prefix, err)
		}
	}
}

// TestMistakes checks the messages about mistakes, and that all mistakes are reported together.
func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		file    string
		environ []string
		flags   map[string]string
		want    []string // one for each line
	}{
		{name: "unknown keys", file: "redis.socket.ur: x\nsocket: {gahter: 5ms}\nsomething: 1\n", environ: []string{"MOIM_REDIS_SOKET_URL=x", "MOIM_OF_OUR_OWN_DEPLOYMENT=x"}, want: []string{
			"redis.socket.ur: there is no such key; did you mean redis.socket.url?",
			"socket.gahter: there is no such key; did you mean socket.gather?",
			"something: there is no such key",
			"MOIM_REDIS_SOKET_URL: there is no such key; did you mean MOIM_REDIS_SOCKET_URL?",
			"MOIM_OF_OUR_OWN_DEPLOYMENT: there is no such key; the node reads every variable that begins with MOIM_: give it another name, or remove it",
		}},
		{name: "bad values", file: "socket.gather: 5\nsocket.max.frame: big\nhttp.addr: [a]\nredis.prefix: 007\n", environ: []string{"MOIM_CACHE_TTL=5"}, want: []string{
			"moim.yaml: socket.gather: must be a duration", "socket.max.frame: must be a whole number", "http.addr: must be one value",
			"redis.prefix: must be text: put it into quotes", "MOIM_CACHE_TTL: must be a duration",
		}},
		{name: "a mistake under a later layer", file: "cache.ttl: soon", environ: []string{"MOIM_CACHE_TTL=1m"}, want: []string{"cache.ttl: must be a duration"}},
		{name: "zero is not the default", environ: []string{"MOIM_SOCKET_GATHER=0s"}, want: []string{"MOIM_SOCKET_GATHER: must be above 0 (default 5ms)"}},
		{name: "negative", environ: []string{"MOIM_CACHE_TTL=-5s", "MOIM_GROUP_LIMIT_OWNED=-1", "MOIM_DRAIN_DEADLINE=-1s"}, want: []string{
			"cache.ttl: must be between", "group.limit.owned: must be between", "drain.deadline: must be between",
		}},
		{name: "section with a value", file: "redis: redis://shared", want: []string{"redis: takes keys below it"}},
		{name: "twice", file: "redis.prefix: a\nredis: {prefix: b}\n", want: []string{"redis.prefix: is set twice"}},
		{name: "duplicate", file: "redis.prefix: a\nredis.prefix: b\n", want: []string{"already defined"}},
		{name: "no mapping", file: "- a\n", want: []string{"moim.yaml: line 1"}},
		{name: "no YAML", file: "a: b: c", want: []string{"moim.yaml: yaml: "}},
		{name: "unknown flag", flags: map[string]string{"redis.urll": "x"}, want: []string{"--redis-urll: there is no such flag"}},
		{name: "enumerations", flags: map[string]string{"log.level": "loud", "log.format": "xml", "socket.adapter": "smoke"}, want: []string{
			"log.level: must be", "log.format: must be", "socket.adapter: ",
		}},
		{name: "redis adapter without redis", flags: map[string]string{"socket.adapter": "redis"}, want: []string{"socket.adapter: it is redis"}},
		{name: "memory adapter with redis groups", flags: map[string]string{"socket.adapter": "memory", "redis.url": "redis://a"}, want: []string{"socket.adapter: it is memory"}},
		{name: "socket without group", flags: map[string]string{"redis.socket.url": "redis://a"}, want: []string{"redis.group.url: "}},
		{name: "group without socket", flags: map[string]string{"redis.group.url": "redis://a"}, want: []string{"redis.socket.url: "}},
		{name: "no key on all addresses", flags: map[string]string{"http.addr": ":8080"}, want: []string{"http.addr: without any auth key"}},
		{name: "no key on an address", flags: map[string]string{"http.addr": "10.0.0.1:8080"}, want: []string{"http.addr: without any auth key"}},
		{name: "no address", flags: map[string]string{"http.addr": "8080"}, want: []string{"http.addr: "}},
		{name: "origin", flags: map[string]string{"http.origins": "a.example"}, want: []string{"http.origins: "}},
		{name: "short secret", flags: map[string]string{"auth.secret": "hunter2"}, want: []string{"auth.secret: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tt.file, tt.environ, tt.flags)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in\n%v", want, err)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(tt.want) {
				t.Errorf("%d lines, want %d:\n%v", lines, len(tt.want), err)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]map[string]string{
		"localhost":            {"http.addr": "localhost:1"},
		"IPv6 loopback":        {"http.addr": "[::1]:1"},
		"secret everywhere":    {"http.addr": ":8080", "auth.secret": secret},
		"shared redis":         {"redis.url": "redis://a"},
		"dedicated both":       {"redis.socket.url": "redis://a", "redis.group.url": "redis://b", "socket.adapter": "redis"},
		"cache alone":          {"redis.cache.url": "redis://a", "socket.adapter": "memory"},
		"key set and loopback": {"auth.jwks.url": "https://id.example/jwks.json"},
	} {
		if _, err := load(t, "", nil, flags); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	links := []string{
		"MOIM_SERVICE_HOST=10.0.0.1", "MOIM_SERVICE_PORT=80", "MOIM_SERVICE_PORT_HTTP=80", "MOIM_PORT=tcp://10.0.0.1:80",
		"MOIM_PORT_80_TCP=tcp://10.0.0.1:80", "MOIM_PORT_80_TCP_PROTO=tcp", "MOIM_PORT_80_TCP_PORT=80", "MOIM_PORT_80_TCP_ADDR=10.0.0.1",
		"MOIM_REDIS_PORT=tcp://10.0.0.2:6379", "MOIM_REDIS_SERVICE_HOST=10.0.0.2",
	}
	if _, err := load(t, "", links, nil); err != nil {
		t.Errorf("what Kubernetes sets: %v", err)
	}
	if _, err := load(t, "", []string{"MOIM_HTTP_PORT=8080"}, nil); err == nil {
		t.Error("a port that is no service link was accepted")
	}
}

func TestEmbedding(t *testing.T) {
	t.Parallel()
	c := config.Config{}
	c.Redis.SocketURL = "redis://a"
	if err := c.Validate(redisrole.Group); err != nil {
		t.Errorf("the group role's client is given: %v", err)
	}
	if !c.SocketsUseRedis() || (config.Config{}).SocketsUseRedis() || !(config.Config{}).SocketsUseRedis(redisrole.Socket) {
		t.Error("SocketsUseRedis is wrong")
	}
	if out := printed(t, c); !strings.Contains(out, "# set by the program") {
		t.Error(out)
	}
}

// TestSecrets puts a password into each value that can contain one, and checks that no output
// shows it.
func TestSecrets(t *testing.T) {
	t.Parallel()
	flags := map[string]string{
		"auth.secret":      secret,
		"redis.url":        "redis://user:hunter2@host/0",
		"redis.socket.url": "rediss://:hunter2@host:6379",
		"redis.group.url":  "redis://user:hunter2%40x@host",
		"redis.cache.url":  "redis://user:x@host?password=hunter2",
		"database.url":     "postgres://user:hun/hunter2@host/db",
		"auth.jwks.url":    "https://user:hunter2@id.example/jwks?api_key=hunter2&x=1",
	}
	c, _ := load(t, "", nil, flags)
	out := printed(t, c)
	if strings.Contains(out, "hunter2") {
		t.Errorf("a secret is printed:\n%s", out)
	}
	for _, want := range []string{"auth.secret: ***", "redis.url: redis://user:***@host/0", "&x=1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var private config.Config
	private.Auth.PublicKey = "-----BEGIN PRIVATE KEY-----\nhunter2"
	if strings.Contains(printed(t, private), "hunter2") {
		t.Error("a private key in the wrong place is printed")
	}

	for _, key := range config.Keys() {
		for _, value := range []string{"hunter2", "redis://user:hunter2 x@host:port", "postgres://u:hunter2@[::bad/x", "http://u:hunter2@%zz"} {
			if slices.Contains([]string{"data.dir", "redis.prefix", "http.addr", "http.origins"}, key.Name) {
				continue // quoted for the reader; never a secret
			}
			if _, err := load(t, "", nil, map[string]string{key.Name: value}); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", key.Name, err)
			}
		}
	}
	for _, file := range []string{
		"hunter2", "auth.secret: *hunter2", "auth.secret: !!int hunter2", "auth.secret: hunter2: x", "auth:\n  secret: [hunter2]", "redis: hunter2", "auth.secret: 'hunter2",
	} {
		if _, err := load(t, file, nil, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	flags := config.Flags()
	var cli struct {
		kong.Plugins
		Serve struct{} `cmd:"" default:"1"`
	}
	cli.Plugins = kong.Plugins{flags}
	var help bytes.Buffer
	parser, err := kong.New(&cli, kong.Name("moim"), kong.Exit(func(int) {}), kong.Writers(&help, &help))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve", "--redis-socket-url", "redis://a", "--redis-group-url=", "--group-presence-grace=5s"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"redis.socket.url": "redis://a", "redis.group.url": "", "group.presence.grace": "5s"}
	if diff := cmp.Diff(want, config.FlagValues(flags)); diff != "" {
		t.Error(diff)
	}
	_, _ = parser.Parse([]string{"--help"})
	for _, k := range config.Keys() {
		if !strings.Contains(help.String(), "--"+k.Flag()) {
			t.Errorf("no --%s in the help", k.Flag())
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(help.String()), " "), "listen address (default 127.0.0.1:8080)") {
		t.Errorf("the help does not tell defaults:\n%s", help.String())
	}
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range config.Keys() {
		for _, name := range []string{k.Name, k.Env(), "--" + k.Flag()} {
			if seen[name] {
				t.Errorf("%s twice", name)
			}
			seen[name] = true
		}
	}
}
