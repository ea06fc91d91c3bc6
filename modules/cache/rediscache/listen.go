package rediscache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
)

// timing holds times that tests shorten.
type timing struct {
	probeEvery   time.Duration // interval of probes of the subscription
	probeTimeout time.Duration // how long a probe may take to arrive
	retryEvery   time.Duration // interval of attempts to subscribe
}

var production = timing{probeEvery: 5 * time.Second, probeTimeout: 2 * time.Second, retryEvery: time.Second}

// connectTimeout limits an attempt to subscribe.
const connectTimeout = 3 * time.Second

// Start implements [cache.Tier]. It never fails: a server may be down.
func (t *Tier) Start(ctx context.Context, drop func(key string, revision int64), dropAll func()) error {
	subscriber, closeSubscriber, err := t.clients.Subscriber(redisrole.Cache)
	if err != nil { // a ring, which cannot subscribe reliably
		t.log.WarnContext(ctx, "rediscache: this node gets no invalidations; it keeps records that other nodes change until they expire or a newer revision is requested", "err", err)
		return nil
	}
	t.subscriber, t.closeSubscriber = subscriber, closeSubscriber
	t.listener.Run(func(ctx context.Context) { t.listen(ctx, drop, dropAll) })
	return nil
}

// Stop implements [cache.Tier].
func (t *Tier) Stop(ctx context.Context) error {
	if err := t.listener.Stop(ctx); err != nil {
		return err
	}
	closeSubscriber := t.closeSubscriber
	t.closeSubscriber = func() error { return nil }
	return closeSubscriber()
}

// listen subscribes to invalidations, and subscribes again after each failure, until ctx
// ends.
func (t *Tier) listen(ctx context.Context, drop func(key string, revision int64), dropAll func()) {
	for {
		err := t.subscribe(ctx, drop, dropAll)
		if ctx.Err() != nil {
			return
		}
		t.status.set(subscription, err)
		if errors.Is(err, redisrole.ErrProbeMissed) {
			// Invalidations may have been missed. All connections may lead to a server that
			// the other nodes do not use.
			dropAll()
			t.clients.Reset(redisrole.Cache)
		}
		if !tasks.Pause(ctx, t.timing.retryEvery) {
			return
		}
	}
}

// subscribe receives invalidations over one new connection until it ends.
func (t *Tier) subscribe(ctx context.Context, drop func(key string, revision int64), dropAll func()) error {
	s := session{Tier: t, pubsub: t.subscriber.Subscribe(ctx), drop: drop, dropAll: dropAll, ready: make(chan struct{})}
	dial, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.pubsub.Subscribe(dial, t.keys.invalidations(), t.probe); err != nil {
		_ = s.pubsub.Close()
		return fmt.Errorf("rediscache: subscribe: %w", err)
	}
	s.prober.Ping = func() error { return s.pubsub.Ping(sealed) }
	s.prober.Publish = func(ctx context.Context, n string) error {
		if !t.call(ctx, func(ctx context.Context) error { return t.client.Publish(ctx, t.probe, n).Err() }) {
			return errNotPublished
		}
		return nil
	}
	s.prober.Timeout, s.prober.Late = t.timing.probeTimeout, t.timing.probeTimeout
	return s.run(ctx)
}
