//go:build linux

// Package socketio runs socket.io on Node for the delivery benchmark, with its Redis
// adapter on several nodes. It installs socket.io with npm into the user's cache, in the
// versions of package-lock.json.
package socketio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

//go:embed package.json package-lock.json server.mjs
var files embed.FS

// Peer is socket.io.
type Peer struct {
	install sync.Once
	err     error
	dir     string
	version string
}

var _ peers.Peer = (*Peer)(nil)

// Name implements peers.Peer.
func (*Peer) Name() string { return "socketio" }

// Start implements peers.Peer.
func (p *Peer) Start(ctx context.Context, on *host.Host, need peers.Need) (*peers.Cluster, error) {
	p.install.Do(func() { p.err = p.prepare(ctx) })
	if p.err != nil {
		return nil, p.err
	}
	c := &peers.Cluster{
		Request: request, Heartbeats: map[string]string{"2": "3"},
		Config: p.version + "; defaults; checks no token",
	}
	c.Session = func(addr string, room, _ int) load.Session { return session(addr, need.Polling, room) }
	args := []string{"server.mjs"}
	redis := ""
	if need.Redis() {
		var err error
		if redis, err = on.Redis(); err != nil {
			return nil, err
		}
		c.Config += "; on several nodes its Redis adapter"
	}
	for range need.All() {
		addr := host.FreeAddr()
		ip, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		node, err := on.Run([]string{"NODE_ENV=production"}, p.dir, "http://"+addr+"/ready", "node", append(args, ip, port, redis)...)
		if err != nil {
			return nil, err
		}
		c.Addrs, c.PIDs = append(c.Addrs, addr), append(c.PIDs, node.PID())
	}
	return c, nil
}

// prepare installs the packages, unless an earlier run has.
func (p *Peer) prepare(ctx context.Context) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %w", host.ErrMissing, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	digest := sha256.New()
	contents := make(map[string][]byte)
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		if contents[name], err = files.ReadFile(name); err != nil {
			return err
		}
		digest.Write(contents[name])
	}
	p.dir = filepath.Join(cache, "moim-bench", fmt.Sprintf("socketio-%x", digest.Sum(nil)[:6]))
	if err := p.describe(ctx); err == nil {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o644); err != nil {
			return err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = p.dir
	if output, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: npm ci: %w: %s", host.ErrMissing, err, output)
	}
	return p.describe(ctx)
}

// describe reads the versions of what is installed.
func (p *Peer) describe(ctx context.Context) error {
	versions := make(map[string]string)
	for _, name := range []string{"socket.io", "@socket.io/redis-adapter"} {
		text, err := os.ReadFile(filepath.Join(p.dir, "node_modules", name, "package.json"))
		if err != nil {
			return err
		}
		var about struct{ Version string }
		if err := json.Unmarshal(text, &about); err != nil {
			return err
		}
		versions[name] = about.Version
	}
	p.version = fmt.Sprintf("socket.io %s, redis-adapter %s, Node %s", versions["socket.io"], versions["@socket.io/redis-adapter"],
		host.Version(ctx, "node", "--version"))
	return nil
}

func session(addr string, polling bool, room int) load.Session {
	return load.EngineIO(addr, polling,
		load.Step{Await: "0{", Say: "40"},
		load.Step{Await: "40{", Say: fmt.Sprintf(`420["subscribe","room-%d"]`, room)},
		load.Step{Await: "430["},
	)
}

func request(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/publish?room=room-%d", addr, room), bytes.NewReader(payload))
}
