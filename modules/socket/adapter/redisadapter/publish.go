package redisadapter

import (
	"context"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Publish implements [adapter.Adapter]. It waits for the server's answer, and
// fails at once while the server does not answer. After ctx ended the envelope
// may still be published.
func (a *Adapter) Publish(ctx context.Context, env adapter.Envelope) error {
	result := make(chan error, 1)
	p, err := a.Reserve(ctx, env, true, func(err error) { result <- err })
	if err == nil {
		Send(p)
		select {
		case err = <-result:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	a.Count(err)
	return err
}

// Cast implements [adapter.Adapter].
func (a *Adapter) Cast(ctx context.Context, env adapter.Envelope) bool {
	p, err := a.Reserve(ctx, env, false, a.Count)
	switch {
	case errors.Is(err, ErrFull):
		return false
	case err != nil:
		a.Count(err)
	default:
		Send(p)
	}
	return true
}

// Place is an envelope's place in the queue to a server.
type Place struct {
	node      *node
	publisher *publisher
	out       *outgoing
}

// Reserve takes a place for env in the queue. If there is none, it waits for
// one, or fails with [ErrFull]. While the server does not answer it fails at
// once. The place must be sent or released. result is called once with what
// became of an envelope that was sent; it does not block. Nil: nobody asks.
func (a *Adapter) Reserve(ctx context.Context, env adapter.Envelope, wait bool, result func(error)) (Place, error) {
	p := a.shards[a.keys.shardOf(env.Room)].publisher
	if err := p.reserve(ctx, wait); err != nil {
		return Place{}, err
	}
	wire, err := encode(a.signing.Key.room(), a.sender, env) // there is a key once there are places
	if err != nil {
		p.release()
		return Place{}, err
	}
	return Place{a.node, p, &outgoing{channel: a.keys.room(env.Room), payload: wire, envelope: true, result: result}}, nil
}

// Send gives an envelope the node's next number and queues it at all its
// places. It does not block.
func Send(places ...Place) {
	n := places[0].node
	n.order.Lock()
	defer n.order.Unlock()
	n.number++
	for _, p := range places {
		setNumber(p.out.payload[p.publisher.key.room():], n.number)
		p.publisher.enqueue(p.out)
	}
}

// Release gives back a place that is not needed.
func (p Place) Release() { p.publisher.release() }
