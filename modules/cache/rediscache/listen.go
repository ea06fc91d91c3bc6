package rediscache

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// idleProbe is how long the subscription may be silent before it is asked
	// for a sign of life, and then for how long until it is given up.
	idleProbe = 5 * time.Second
	// retryEvery is how long after a failure the subscription is tried again.
	retryEvery = time.Second
)

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
		for ctx.Err() == nil {
			err := t.listen(ctx, drop, dropAll)
			if ctx.Err() == nil {
				t.log.Debug("rediscache: invalidations are not heard", "err", err)
			}
			select {
			case <-time.After(retryEvery):
			case <-ctx.Done():
			}
		}
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

// listen hears invalidations over one connection until it ends. What was
// invalidated before it began is unknown: everything is dropped.
func (t *Tier) listen(ctx context.Context, drop func(key string, revision int64), dropAll func()) error {
	sub := t.sub.Subscribe(ctx, t.keys.invalidations())
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	probed := false
	for {
		message, err := sub.ReceiveTimeout(ctx, idleProbe)
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout() && !probed:
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			probed = true
			continue
		default:
			return err
		}
		probed = false
		switch m := message.(type) {
		case *redis.Subscription:
			dropAll()
		case *redis.Message:
			t.heard(m.Payload, drop)
		}
	}
}

func (t *Tier) heard(payload string, drop func(key string, revision int64)) {
	node, key, revision, err := decodeInvalidation(payload)
	switch {
	case err != nil:
		t.garbage.Add(1)
	case node != t.node:
		drop(key, revision)
	}
}
