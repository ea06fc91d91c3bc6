package redisadapter

import (
	"bytes"
	"context"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Publish implements [adapter.Adapter]. It waits for the server's answer, and
// fails at once while the server does not answer. After ctx ended the envelope
// may still be published. While the role moves and two servers are published
// to, one that took it will do.
func (a *Adapter) Publish(ctx context.Context, env adapter.Envelope) error {
	err := a.publish(ctx, env, true)
	a.counters.fate(err)
	return err
}

// Cast implements [adapter.Adapter].
func (a *Adapter) Cast(ctx context.Context, env adapter.Envelope) bool {
	switch err := a.publish(ctx, env, false); {
	case errors.Is(err, errFull):
		return false
	case err != nil:
		a.counters.fate(err)
	}
	return true
}

// leg is an envelope's way over one server.
type leg struct {
	*publisher
	out *outgoing
	err error // why it has no place in the queue
}

func (l *link) leg(room string, wire []byte, waited bool) leg {
	out := &outgoing{channel: l.keys.room(room), payload: wire, envelope: true}
	if waited {
		out.done = make(chan error, 1)
	}
	return leg{publisher: l.shard(room).publisher, out: out}
}

// publish queues an envelope, and waits for what becomes of it if that is
// wanted: else it is counted.
func (a *Adapter) publish(ctx context.Context, env adapter.Envelope, wait bool) error {
	wire, err := encode(a.key.room(), a.sender, env)
	if err != nil {
		return err
	}
	for {
		way := a.way.Load()
		main := way.main.leg(env.Room, wire, wait)
		if wait {
			main.err = main.reserve(ctx)
		} else {
			main.out.counted = &a.counters
			if main.err = main.tryReserve(); errors.Is(main.err, errFull) {
				return main.err
			}
		}
		if way.also == nil {
			switch {
			case main.err != nil:
				return main.err
			case !a.enqueue(way, &main):
				continue
			case wait:
				return main.wait(ctx, main.out)
			}
			return nil
		}
		also := way.also.leg(env.Room, bytes.Clone(wire), wait) // each is signed for its channel
		also.err = also.tryReserve()
		if main.err != nil && also.err != nil {
			return main.err
		}
		switch {
		case !a.enqueue(way, &main, &also):
		case wait:
			return either(ctx, &main, &also)
		default:
			return nil
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
