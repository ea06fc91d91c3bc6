package socket

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// eventStatus asks each node for its report.
const eventStatus = "socket:status"

// Report makes this node answer [Emitter.Nodes] with what report returns, as JSON. Call it
// before the hub starts.
func (e *Emitter) Report(report func() any) { e.report = report }

// Nodes returns the reports of all nodes, this one first, and the names of those that did
// not answer before ctx ended. A node of an earlier version does not answer.
func (e *Emitter) Nodes(ctx context.Context) (reports []json.RawMessage, missing []string) {
	if own, err := json.Marshal(e.report()); err == nil {
		reports = append(reports, own)
	}
	if e.nodes == nil {
		return reports, nil
	}
	t := e.All()
	wait := t.ask(ctx, eventStatus, request{}, adapter.Envelope{})
	others, missing, _ := wait() // the missing nodes say it
	return append(reports, others...), missing
}

// NodeID returns the name of this node among the others. It is empty without a gateway.
func (e *Emitter) NodeID() string {
	if e.nodes == nil {
		return ""
	}
	return e.nodes.Node()
}
