package rediscache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

// timing is what tests shorten.
type timing struct {
	probeEvery   time.Duration // between two probes of the subscription
	probeTimeout time.Duration // after which one that did not come back is missed
	retryEvery   time.Duration // after the subscription ended
}

var production = timing{probeEvery: 5 * time.Second, probeTimeout: 2 * time.Second, retryEvery: time.Second}

// connectTimeout bounds an attempt to subscribe.
const connectTimeout = 3 * time.Second

// Start implements [cache.Tier]. A server that is down is no error: it never
// fails.
func (t *Tier) Start(_ context.Context, drop func(key string, revision int64), dropAll func()) error {
	t.sub = t.clients.Client(redisrole.Cache)
	if !t.clients.Dedicated(redisrole.Cache) {
		sub, err := t.clients.Duplicate(redisrole.Cache)
		if err != nil { // a ring, which cannot subscribe reliably
			t.log.Warn("rediscache: records that other nodes change stay in memory until they are asked for or run out", "err", err)
			return nil
		}
		t.sub, t.own = sub, true
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel, t.done = cancel, make(chan struct{})
	go func() {
		defer close(t.done)
		t.keepHearing(ctx, drop, dropAll)
	}()
	return nil
}

// Stop implements [cache.Tier].
func (t *Tier) Stop(ctx context.Context) error {
	if t.cancel == nil {
		return nil
	}
	t.cancel()
	select {
	case <-t.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.cancel = nil
	if t.own {
		return t.sub.Close()
	}
	return nil
}

// keepHearing hears invalidations until ctx ends, over one connection after the
// other.
func (t *Tier) keepHearing(ctx context.Context, drop func(key string, revision int64), dropAll func()) {
	for {
		err := t.hear(ctx, drop, dropAll)
		if ctx.Err() != nil {
			return
		}
		t.status.set(hearing, err)
		if errors.Is(err, errProbeMissed) {
			// It is not known since when nothing was heard. All connections may
			// be to a server that the others do not use.
			dropAll()
			t.clients.Reset(redisrole.Cache)
		}
		select {
		case <-time.After(t.timing.retryEvery):
		case <-ctx.Done():
			return
		}
	}
}

// hear subscribes over a new connection and hears invalidations until that
// ends. What was invalidated before it began is unknown: everything is dropped.
func (t *Tier) hear(ctx context.Context, drop func(key string, revision int64), dropAll func()) error {
	s := session{Tier: t, pubsub: t.sub.Subscribe(ctx), drop: drop, dropAll: dropAll, ready: make(chan struct{})}
	dial, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.pubsub.Subscribe(dial, t.keys.invalidations(), t.probe); err != nil {
		_ = s.pubsub.Close()
		return fmt.Errorf("rediscache: subscribe: %w", err)
	}
	return s.run(ctx)
}

// heard takes what came on the channel of invalidations.
func (t *Tier) heard(payload string, drop func(key string, revision int64)) {
	node, key, revision, err := decodeInvalidation(payload)
	switch {
	case err != nil:
		t.garbage.Add(1)
	case node != t.node:
		drop(key, revision)
	}
}
