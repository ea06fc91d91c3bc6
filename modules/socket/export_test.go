package socket

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/nodes"
)

// Decode decodes an event's data like a handler made by [On].
func Decode[Req any](data json.RawMessage) (Req, error) {
	if err := check(data); err != nil {
		var none Req
		return none, err
	}
	return decode[Req](data)
}

// SetTimeouts shortens timeouts for tests. Call it before the first connection.
func (g *Gateway) SetTimeouts(connect, handler, grace time.Duration) {
	g.cfg.ConnectTimeout, g.handlerTimeout, g.closeGrace = connect, handler, grace
}

// Announce tells other nodes that there is a node with this URL, whose session ids begin with
// node.
func Announce(ctx context.Context, e *Emitter, node, nodeURL string) error {
	return e.announce(ctx, map[string]any{"node": node, "url": nodeURL, "key": []byte("k")})
}

// AnnounceGone tells other nodes that a node stops.
func AnnounceGone(ctx context.Context, e *Emitter, node string) error {
	return e.announce(ctx, map[string]any{"node": node, "gone": true})
}

func (e *Emitter) announce(ctx context.Context, a map[string]any) error {
	meta, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return e.own.Publish(ctx, adapter.Envelope{Room: nodes.Room, Event: "socket:announce", Meta: string(meta)})
}

// Peers returns the number of other nodes that this one knows.
func (g *Gateway) Peers() int { return g.nodes.Len() }

// All returns the sockets of the node's main namespace, including those of disconnected clients.
func (g *Gateway) All() (sockets []*Socket) {
	for _, m := range g.own.Sockets(allRoom(mainNamespace)) {
		sockets = append(sockets, socketOf(m))
	}
	return sockets
}
