package socket

import (
	"context"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/nodes"
)

// bus carries messages between nodes, as events that no socket receives.
type bus struct{ *adapter.Owner }

var _ nodes.Bus = bus{}

// Publish implements [nodes.Bus].
func (b bus) Publish(ctx context.Context, room, event, text string) error {
	return b.Owner.Publish(ctx, adapter.Envelope{Room: room, Event: event, Meta: text, Data: []byte("{}")})
}

// Intercept implements [nodes.Bus].
func (b bus) Intercept(event string, fn func(text string)) {
	b.Owner.Intercept(event, func(env adapter.Envelope) { fn(env.Meta) })
}
