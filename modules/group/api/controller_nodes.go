package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

// nodesWithin limits the time that other nodes have to answer.
const nodesWithin = 2 * time.Second

// Nodes knows the nodes of the deployment. socket.Emitter implements it.
type Nodes interface {
	// Nodes returns a [Node] as JSON for each node, this one first, and the names of the
	// nodes that did not answer before ctx ended.
	Nodes(ctx context.Context) (reports []json.RawMessage, missing []string)
}

// Node is a node's report about itself.
type Node struct {
	ID              string  `json:"id" doc:"changes at each start"`
	Version         string  `json:"version"`
	URL             string  `json:"url,omitempty" doc:"node.url"`
	Uptime          int64   `json:"uptime" doc:"seconds since its start"`
	Sockets         int     `json:"sockets" doc:"open connections of clients, polling sessions included"`
	Groups          int     `json:"groups" doc:"groups that its sockets follow"`
	EventsPerSecond float64 `json:"eventsPerSecond" doc:"events that it delivered to them, in the last half minute"`
	Lateness        float64 `json:"lateness" doc:"milliseconds that 99 % of these events did not exceed, from their instant until all sockets were written to; 0: there were none"`
	CPU             float64 `json:"cpu" doc:"processor seconds that it used per second, in the last five"`
	Memory          int64   `json:"memory" doc:"bytes that its Go runtime has from the system"`
}

// NodeList is the answer that lists all nodes.
type NodeList struct {
	Items   []Node   `json:"items"`
	Missing []string `json:"missing,omitempty" doc:"nodes that did not answer: their node.url, or their id"`
}

func (c *Controller) registerNodes() {
	op := operation(http.MethodGet, "/nodes", "list-nodes",
		"Ask each node how it is; for back ends only", http.StatusOK, "403 forbidden")
	op.Tags = []string{"nodes"}
	register(c, op, c.listNodes)
}

func (c *Controller) listNodes(ctx context.Context, _ *struct{}) (*Answer[NodeList], error) {
	if err := group.BackEndMay(web.Caller(ctx), auth.ReadNodes); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesWithin)
	defer cancel()
	reports, missing := c.nodes.Nodes(ctx)
	list := NodeList{Items: make([]Node, 0, len(reports)), Missing: missing}
	for _, data := range reports {
		var n Node
		if json.Unmarshal(data, &n) == nil {
			list.Items = append(list.Items, n)
		}
	}
	return answer(list, nil)
}
