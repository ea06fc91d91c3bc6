package redisadapter

import (
	"bytes"
	"context"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Publish implements [adapter.Adapter]. It waits for the server's answer, and
// fails at once while the server does not answer. After ctx ended the envelope
// may still be published. While the role moves and two servers are published
// to, one that took it will do.
func (a *Adapter) Publish(ctx context.Context, env adapter.Envelope) error {
	wire, err := encode(a.key.room(), a.sender, env)
	if err == nil {
		err = a.publish(ctx, env.Room, wire)
	}
	if err != nil {
		a.counters.failed.Add(1)
		return err
	}
	a.counters.published.Add(1)
	return nil
}

// leg is an envelope's way over one server.
type leg struct {
	*publisher
	out *outgoing
	err error // why it has no place in the queue
}

func (l *link) leg(room string, wire []byte) leg {
	return leg{
		publisher: l.shard(room).publisher,
		out:       &outgoing{channel: l.keys.room(room), payload: wire, envelope: true, done: make(chan error, 1)},
	}
}

func (a *Adapter) publish(ctx context.Context, room string, wire []byte) error {
	for {
		way := a.way.Load()
		main := way.main.leg(room, wire)
		main.err = main.reserve(ctx)
		if way.also == nil {
			switch {
			case main.err != nil:
				return main.err
			case a.enqueue(way, &main):
				return main.wait(ctx, main.out)
			}
			continue
		}
		also := way.also.leg(room, bytes.Clone(wire)) // each is signed for its channel
		also.err = also.tryReserve()
		if main.err != nil && also.err != nil {
			return main.err
		}
		if a.enqueue(way, &main, &also) {
			return either(ctx, &main, &also)
		}
	}
}

// enqueue numbers an envelope and queues it where it has a place. It reports
// whether the way is still the one: if not, the places are given back.
func (a *Adapter) enqueue(way *way, legs ...*leg) bool {
	a.order.Lock()
	defer a.order.Unlock()
	valid := a.way.Load() == way
	if valid {
		a.number++
	}
	for _, l := range legs {
		switch {
		case l.err != nil:
		case valid:
			setNumber(l.out.payload[a.key.room():], a.number)
			l.queue <- l.out
		default:
			l.release()
		}
	}
	return valid
}

// either waits until one server took the envelope, or none did.
func either(ctx context.Context, main, also *leg) error {
	if also.err != nil {
		return main.wait(ctx, main.out)
	}
	if main.err == nil {
		select {
		case main.err = <-main.out.done:
		case <-main.ended:
			main.err = main.wait(ctx, main.out)
		case also.err = <-also.out.done:
			if also.err != nil {
				return main.wait(ctx, main.out)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if main.err != nil && also.wait(ctx, also.out) != nil {
		return main.err
	}
	return nil
}
