package redisadapter

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	publishQueue = 4096                   // messages in the queue; if it is full, senders wait
	publishBatch = 256                    // messages in one round trip
	publishBytes = 1 << 20                // size at which a round trip takes no more messages
	lastTimeout  = 500 * time.Millisecond // for the queue when the adapter stops
	pingFirst    = 20 * time.Millisecond  // wait after the server did not answer
	pingEvery    = 250 * time.Millisecond // then the interval of pings
)

// ErrFull says that too many messages are waiting to be published.
var ErrFull = errors.New("redisadapter: the queue of messages is full")

// publisher publishes with one goroutine. This keeps the order of a node's messages.
// Messages that come during a round trip are sent together in the next one.
type publisher struct {
	client  redis.UniversalClient // set before it runs
	command string                // PUBLISH, or SPUBLISH
	key     Key
	pingTo  string        // a channel on the server to ping; empty if there is only one server
	timeout time.Duration // timeout of a round trip; set before it runs
	status  *direction
	queue   chan *outgoing
	places  chan struct{} // each message reserves a place first, so queueing never blocks
	ended   chan struct{} // closed once no more messages are published
	after   atomic.Int64  // when publishing may go on, as Unix time in ns
	batch   []*outgoing   // messages of the next round trip; used by the goroutine only
}

// outgoing is a message to publish.
type outgoing struct {
	channel  string
	payload  []byte
	envelope bool        // it is an envelope, so it is signed
	result   func(error) // called once with the outcome; must not block; may be nil
}

// became reports the outcome of the message.
func (o *outgoing) became(err error) {
	if o.result != nil {
		o.result(err)
	}
}

func newPublisher(command string, s *direction) *publisher {
	return &publisher{
		command: command,
		status:  s,
		queue:   make(chan *outgoing, publishQueue),
		places:  make(chan struct{}, publishQueue),
		ended:   make(chan struct{}),
		batch:   make([]*outgoing, 0, publishBatch),
	}
}

// send publishes a message and returns the result. While the server does not answer, it
// fails at once.
func (p *publisher) send(ctx context.Context, channel string, payload []byte) error {
	if err := p.reserve(ctx, true); err != nil {
		return err
	}
	result := make(chan error, 1)
	p.enqueue(&outgoing{channel: channel, payload: payload, result: func(err error) { result <- err }})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reserve reserves a place in the queue. If the queue is full, it waits if wait is set, and
// otherwise returns ErrFull. While the server does not answer, it fails at once.
func (p *publisher) reserve(ctx context.Context, wait bool) error {
	if err := p.status.failure(); err != nil {
		return err
	}
	select {
	case p.places <- struct{}{}:
		return nil
	default:
		if !wait {
			return ErrFull
		}
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

// release gives a place back.
func (p *publisher) release() { <-p.places }

// enqueue queues a message that has a place. It does not block.
func (p *publisher) enqueue(out *outgoing) {
	p.queue <- out
	select {
	case <-p.ended:
		p.refuseQueued() // the goroutine has ended and will not do it
	default:
	}
}

// refuseQueued fails the queued messages after the goroutine has ended.
func (p *publisher) refuseQueued() {
	for {
		select {
		case out := <-p.queue:
			p.release()
			out.became(errStopped)
		default:
			return
		}
	}
}

// run publishes until ctx ends, and then publishes the rest of the queue.
func (p *publisher) run(ctx context.Context) {
	defer p.refuseQueued()
	defer close(p.ended)
	for p.next(ctx) {
		if !p.publish(p.timeout) {
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

// next fills the batch from the queue, up to the size of a round trip. It waits for the
// first message. It returns false once ctx has ended.
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

// HoldBack delays publishing by d. Messages that come meanwhile are sent afterwards.
func (a *Adapter) HoldBack(d time.Duration) {
	for _, s := range a.shards {
		s.publisher.after.Store(time.Now().Add(d).UnixNano())
	}
}

// holdBack waits until publishing may go on.
func (p *publisher) holdBack(ctx context.Context) {
	after := p.after.Load()
	if after == 0 {
		return
	}
	tasks.Pause(ctx, time.Until(time.Unix(0, after)))
	p.after.CompareAndSwap(after, 0)
}

// fill adds messages from the queue to the batch. It reports whether the batch has any.
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

// heal waits until the server answers again. Meanwhile, messages fail.
func (p *publisher) heal(ctx context.Context) {
	timer := time.NewTimer(jitter(pingFirst)) // before the first ping, fail the queued messages
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

// jitter returns a random pause between half of d and one and a half of d, so that nodes do
// not retry at the same time.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
