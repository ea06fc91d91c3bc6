package socket

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// eventStatus asks each node for its report.
const eventStatus = "socket:status"

// Report makes this node answer [Emitter.Nodes] with the result of report, as JSON. For
// [Emitter.NodesInDetail], detailed is true. Call it before the hub starts.
func (e *Emitter) Report(report func(detailed bool) any) { e.report = report }

// Nodes returns the reports of all nodes, this one first, and the names of those that did
// not answer before ctx ended. A node of an earlier version does not answer.
func (e *Emitter) Nodes(ctx context.Context) (reports []json.RawMessage, missing []string) {
	return e.askNodes(ctx, false)
}

// NodesInDetail is [Emitter.Nodes] with detailed reports. A node of an earlier version may
// answer without the details.
func (e *Emitter) NodesInDetail(ctx context.Context) (reports []json.RawMessage, missing []string) {
	return e.askNodes(ctx, true)
}

func (e *Emitter) askNodes(ctx context.Context, detailed bool) (reports []json.RawMessage, missing []string) {
	if own, err := json.Marshal(e.report(detailed)); err == nil {
		reports = append(reports, own)
	}
	if e.nodes == nil {
		return reports, nil
	}
	t := e.All()
	wait := t.ask(ctx, eventStatus, request{Detailed: detailed}, adapter.Envelope{})
	others, missing, _ := wait() // missing says which did not answer
	return append(reports, others...), missing
}

// NodeID returns the id of this node. It is empty without a gateway.
func (e *Emitter) NodeID() string {
	if e.nodes == nil {
		return ""
	}
	return e.nodes.Node()
}
