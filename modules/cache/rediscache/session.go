package rediscache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

var (
	errNotSubscribed = errors.New("rediscache: the server does not confirm the subscription")
	errNotPublished  = errors.New("rediscache: the probe was not published")
)

// sealed is a context that has ended. With it, go-redis uses an open connection but cannot
// dial a new one. A new connection would hide that invalidations were missed.
var sealed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// session is one connection that subscribes.
type session struct {
	*Tier

	pubsub  *redis.PubSub
	drop    func(key string, revision int64)
	dropAll func()

	ready  chan struct{} // closed when the channels are subscribed to
	prober redisrole.Prober
}

// run receives until the connection has ended, and returns the reason.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var goroutines sync.WaitGroup
	goroutines.Go(func() { fail(s.receive()) })
	goroutines.Go(func() { fail(s.probeForever(ctx)) })
	goroutines.Go(func() { s.clients.Watch(ctx, redisrole.Cache, s.log) })
	<-ctx.Done()
	_ = s.pubsub.Close() // ends receive
	goroutines.Wait()
	return context.Cause(ctx)
}

// receive handles messages until the connection ends.
func (s *session) receive() error {
	for {
		message, err := s.pubsub.ReceiveTimeout(sealed, 0)
		if err != nil {
			return fmt.Errorf("rediscache: the subscription ended: %w", err)
		}
		s.prober.Heard()
		switch m := message.(type) {
		case *redis.Subscription:
			if m.Channel == s.probe { // the last channel
				s.dropAll() // invalidations before the subscription are unknown
				if s.status.failure(subscription) != nil {
					s.reconnects.Add(1)
				}
				s.status.set(subscription, nil)
				close(s.ready)
			}
		case *redis.Message:
			if m.Channel == s.probe {
				s.prober.Returned(m.Payload)
			} else {
				s.handleInvalidation(m.Payload)
			}
		}
	}
}

func (s *session) handleInvalidation(payload string) {
	node, key, revision, err := decodeInvalidation(payload)
	switch {
	case err != nil:
		s.garbage.Add(1)
	case node != s.node:
		s.drop(key, revision)
	}
}

// probeForever returns once a probe does not arrive.
func (s *session) probeForever(ctx context.Context) error {
	timer := time.NewTimer(connectTimeout)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ready:
		timer.Reset(0)
	case <-timer.C:
		return errNotSubscribed
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		published, err := s.prober.Probe(ctx)
		if err != nil {
			return fmt.Errorf("rediscache: probe: %w", err)
		}
		if published {
			timer.Reset(s.timing.probeEvery)
		} else {
			timer.Reset(min(s.timing.retryEvery, s.timing.probeEvery))
		}
	}
}
