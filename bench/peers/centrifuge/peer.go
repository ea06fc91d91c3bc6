//go:build linux

// Package centrifuge runs a small server that uses the centrifuge library for the delivery
// benchmark, with its Redis broker on several nodes.
package centrifuge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// Role is the argument with which the bench's program calls [Serve], with the
// addresses of the node and of Redis, if there is one, and the delay.
const Role = "serve-centrifuge"

// Peer is centrifuge.
type Peer struct {
	// Delay is the library's WriteDelay; 0 is its default: none.
	Delay time.Duration
}

var _ peers.Peer = Peer{}

// Name implements peers.Peer.
func (p Peer) Name() string {
	if p.Delay > 0 {
		return "centrifuge-" + p.Delay.String()
	}
	return "centrifuge"
}

// Start implements peers.Peer.
func (p Peer) Start(_ context.Context, on *host.Host, need peers.Need) (*peers.Cluster, error) {
	c := &peers.Cluster{
		Session: session, Request: request, Heartbeats: map[string]string{"{}": "{}"},
		Config: "centrifuge " + version() + ", JSON protocol, defaults; checks no token",
	}
	if p.Delay > 0 {
		c.Config += "; WriteDelay " + p.Delay.String()
	}
	redis := ""
	if need.Redis() {
		var err error
		if redis, err = on.Redis(); err != nil {
			return nil, err
		}
		c.Config += "; on several nodes its Redis broker"
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for range need.All() {
		addr := host.FreeAddr()
		node, err := on.Run(nil, "", "http://"+addr+"/ready", program, Role, addr, redis, p.Delay.String())
		if err != nil {
			return nil, err
		}
		c.Addrs, c.PIDs = append(c.Addrs, addr), append(c.PIDs, node.PID())
	}
	return c, nil
}

func session(addr string, room, _ int) load.Session {
	return load.Session{Addr: addr, Path: "/connection/websocket", Steps: []load.Step{
		{Say: `{"id":1,"connect":{}}`},
		{Await: `{"id":1,"connect"`, Say: fmt.Sprintf(`{"id":2,"subscribe":{"channel":"room-%d"}}`, room)},
		{Await: `{"id":2,"subscribe"`},
	}}
}

func request(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/publish?channel=room-%d", addr, room), bytes.NewReader(payload))
}

func version() string {
	if about, ok := debug.ReadBuildInfo(); ok {
		for _, module := range about.Deps {
			if module.Path == "github.com/centrifugal/centrifuge" {
				return module.Version
			}
		}
	}
	return "of go.mod"
}
