package redisadapter

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	publishQueue   = 4096    // messages that wait before their senders wait
	publishBatch   = 256     // messages in one round trip
	publishBytes   = 1 << 20 // bytes after which a round trip takes no more
	publishTimeout = 2 * time.Second
	lastTimeout    = 500 * time.Millisecond // for what is queued when it stops
	pingFirst      = 20 * time.Millisecond  // after the server did not answer
	pingEvery      = 250 * time.Millisecond // while it does not
)

var errFull = errors.New("redisadapter: too many messages wait")

// publisher is the one goroutine that publishes: so that the messages of one
// node keep their order, and that those which come during a round trip share the
// next one.
type publisher struct {
	client  redis.UniversalClient // set before it runs
	command string                // PUBLISH, or SPUBLISH
	key     Key
	pingTo  string // a channel on the server that is meant; empty: there is one server
	status  oneStatus
	queue   chan *outgoing
	places  chan struct{} // each takes one before it queues, so that queueing never waits
	ended   chan struct{} // closed once nothing is published any more
	after   atomic.Int64  // nothing is published before; Unix time in ns
	batch   []*outgoing   // to be published next; the goroutine's
}

// outgoing is a message on its way.
type outgoing struct {
	channel  string
	payload  []byte
	envelope bool       // it is to be signed
	done     chan error // nil: nobody waits
	counted  *counters  // nil: whoever waits counts, or nobody does
}

// became says what became of the message.
func (o *outgoing) became(err error) {
	if o.done != nil {
		o.done <- err
	}
	if o.counted != nil {
		o.counted.fate(err)
	}
}

func newPublisher(command string, s oneStatus) *publisher {
	return &publisher{
		command: command,
		status:  s,
		queue:   make(chan *outgoing, publishQueue),
		places:  make(chan struct{}, publishQueue),
		ended:   make(chan struct{}),
		batch:   make([]*outgoing, 0, publishBatch),
	}
}

// send publishes a message and returns what became of it. While the server
// does not answer it fails at once.
func (p *publisher) send(ctx context.Context, channel string, payload []byte) error {
	if err := p.reserve(ctx); err != nil {
		return err
	}
	out := &outgoing{channel: channel, payload: payload, done: make(chan error, 1)}
	p.queue <- out
	return p.wait(ctx, out)
}

// reserve waits for a place in the queue. While the server does not answer it
// fails at once.
func (p *publisher) reserve(ctx context.Context) error {
	if err := p.status.failure(); err != nil {
		return err
	}
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return errStopped
	}
}

// tryReserve takes a place in the queue if there is one.
func (p *publisher) tryReserve() error {
	if err := p.status.failure(); err != nil {
		return err
	}
	select {
	case p.places <- struct{}{}:
		return nil
	default:
		return errFull
	}
}

// release gives a place back.
func (p *publisher) release() { <-p.places }

// wait returns what became of a message that was queued.
func (p *publisher) wait(ctx context.Context, out *outgoing) error {
	select {
	case err := <-out.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		// It may have been the last that was published.
		select {
		case err := <-out.done:
			return err
		default:
			return errStopped
		}
	}
}

// run publishes until ctx ends, and then what is still queued.
func (p *publisher) run(ctx context.Context) {
	defer close(p.ended)
	for p.next(ctx) {
		if !p.publish(publishTimeout) {
			p.heal(ctx)
		}
	}
	for ; p.fill(); p.batch = p.batch[:0] {
		if err := p.status.failure(); err != nil {
			p.fail(err)
		} else {
			p.publish(lastTimeout)
		}
	}
}

// next takes what is to be published next: all that waits, as far as it fits into
// a round trip. It returns false when ctx has ended.
func (p *publisher) next(ctx context.Context) bool {
	clear(p.batch)
	p.batch = p.batch[:0]
	select {
	case <-ctx.Done():
		return false
	case out := <-p.queue:
		p.release()
		p.batch = append(p.batch, out)
	}
	p.holdBack(ctx)
	return ctx.Err() == nil && p.fill()
}

// holdBack waits until it is time to publish.
func (p *publisher) holdBack(ctx context.Context) {
	after := p.after.Load()
	if after == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(time.Unix(0, after))):
	}
	p.after.CompareAndSwap(after, 0)
}

// fill adds what waits already to the batch, and reports whether there is
// something in it.
func (p *publisher) fill() bool {
	size := 0
	for _, out := range p.batch {
		size += len(out.payload)
	}
	for len(p.batch) < publishBatch && size < publishBytes {
		select {
		case out := <-p.queue:
			p.release()
			p.batch = append(p.batch, out)
			size += len(out.payload)
		default:
			return len(p.batch) > 0
		}
	}
	return true
}

// heal waits until the server answers again. What waits to be published fails
// meanwhile.
func (p *publisher) heal(ctx context.Context) {
	timer := time.NewTimer(jitter(pingFirst)) // first whoever waits already
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case out := <-p.queue:
			p.release()
			out.became(p.status.failure())
		case <-timer.C:
			if p.ping(ctx) == nil {
				p.status.set(nil)
				return
			}
			timer.Reset(jitter(pingEvery))
		}
	}
}

// jitter spreads a pause over half to one and a half of it, so that nodes do
// not come back in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
