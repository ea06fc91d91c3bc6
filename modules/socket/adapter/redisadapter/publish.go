package redisadapter

import (
	"context"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Publish implements [adapter.Adapter]. It waits for the server's answer. While the server
// does not answer, Publish fails at once. If ctx ends, the envelope may still be published.
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

// Place is a reserved place for an envelope in the queue of one server.
type Place struct {
	node      *node
	publisher *publisher
	out       *outgoing
}

// Reserve reserves a place in the queue for env. If the queue is full, it waits if wait is
// set, and otherwise returns [ErrFull]. While the server does not answer, it fails at once.
// The place must be sent or released. After [Send], result is called once with the outcome;
// it must not block and may be nil.
func (a *Adapter) Reserve(ctx context.Context, env adapter.Envelope, wait bool, result func(error)) (Place, error) {
	p := a.shards[a.keys.shardOf(env.Room)].publisher
	if err := p.reserve(ctx, wait); err != nil {
		return Place{}, err
	}
	wire, err := encode(a.signing.Key.room(), a.sender, env) // the key is set once places can be reserved
	if err != nil {
		p.release()
		return Place{}, err
	}
	return Place{a.node, p, &outgoing{channel: a.keys.room(env.Room), payload: wire, envelope: true, result: result}}, nil
}

// Send gives an envelope the node's next number and queues it at all its places. It does
// not block.
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

// Release gives back a place that is not used.
func (p Place) Release() { p.publisher.release() }
