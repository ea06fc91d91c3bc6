//go:build linux

package naked

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// Role is the argument with which the bench's program calls [Serve], with the
// addresses of the node and of Redis, if there is one.
const Role = "serve-naked"

// Peer is the naked server.
type Peer struct{}

var _ peers.Peer = Peer{}

// Name implements peers.Peer.
func (Peer) Name() string { return "naked" }

// Start implements peers.Peer.
func (Peer) Start(_ context.Context, on *host.Host, need peers.Need) (*peers.Cluster, error) {
	c := &peers.Cluster{Session: session(need.Polling), Request: request, Config: "Go, net/http; a frame built once, write(2) to each member; by polling a handler that waits"}
	redisAddr := ""
	if need.Redis() {
		var err error
		if redisAddr, err = on.Redis(); err != nil {
			return nil, err
		}
		c.Config += "; go-redis, a channel a room"
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for range need.All() {
		addr := host.FreeAddr()
		p, err := on.Run(nil, "", "http://"+addr+"/ready", program, Role, addr, redisAddr)
		if err != nil {
			return nil, err
		}
		c.Addrs, c.PIDs = append(c.Addrs, addr), append(c.PIDs, p.PID())
	}
	return c, nil
}

func session(polling bool) func(addr string, room, member int) load.Session {
	return func(addr string, room, _ int) load.Session {
		if polling {
			return load.Session{Addr: addr, Path: fmt.Sprintf("/poll?room=%d", room), Polling: true, Steps: []load.Step{{Await: "0{"}}}
		}
		return load.Session{Addr: addr, Path: fmt.Sprintf("/ws?room=%d", room)}
	}
}

func request(ctx context.Context, addr string, room int, payload []byte) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/publish?room=%d", addr, room), bytes.NewReader(payload))
}
