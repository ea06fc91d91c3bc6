package rediscache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

var (
	errNotSubscribed = errors.New("rediscache: the server does not confirm the subscription")
	errProbeMissed   = errors.New("rediscache: the connection is open, but what is published does not arrive on it")
)

// sealed is a context that has ended. With it go-redis uses the connection
// that it has and cannot dial another one behind this package's back, which
// would hide that invalidations were missed.
var sealed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// session is one connection that subscribes, from its first command to its end.
type session struct {
	*Tier

	pubsub  *redis.PubSub
	drop    func(key string, revision int64)
	dropAll func()

	ready  chan struct{} // closed when probes can arrive
	read   atomic.Uint64 // messages of any kind that were read
	sent   atomic.Uint64 // number of the last probe
	probed atomic.Uint64 // number of the last that came back
}

// run returns why the connection ended, when nothing of it runs any more.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var helpers sync.WaitGroup
	helpers.Go(func() { fail(s.receive()) })
	helpers.Go(func() { fail(s.keepProbing(ctx)) })
	// All connections may be to a server that lives on although another one has
	// taken its place: then probes come back.
	helpers.Go(func() { s.clients.Watch(ctx, redisrole.Cache, s.log) })
	<-ctx.Done()
	_ = s.pubsub.Close() // the reader waits in a read
	helpers.Wait()
	return context.Cause(ctx)
}

// receive reads the connection to its end.
func (s *session) receive() error {
	for {
		message, err := s.pubsub.ReceiveTimeout(sealed, 0)
		if err != nil {
			return fmt.Errorf("rediscache: the subscription ended: %w", err)
		}
		s.read.Add(1)
		switch m := message.(type) {
		case *redis.Subscription:
			if m.Channel == s.probe { // the last of the channels
				s.dropAll()
				if s.status.failure(hearing) != nil {
					s.reconnects.Add(1)
				}
				s.status.set(hearing, nil)
				close(s.ready)
			}
		case *redis.Message:
			if m.Channel == s.probe {
				s.returned(m.Payload)
				continue
			}
			s.heard(m.Payload, s.drop)
		}
	}
}

// returned notes a probe. Anyone may publish anything on the channel.
func (s *session) returned(payload string) {
	if n, err := strconv.ParseUint(payload, 10, 64); err == nil && n > s.probed.Load() && n <= s.sent.Load() {
		s.probed.Store(n)
	}
}

// keepProbing publishes to the node's own channel again and again. It returns
// when a probe does not arrive: the subscription is on a server to which this
// node does not publish, or the connection is dead without an end. Traffic of
// others says nothing of the first.
func (s *session) keepProbing(ctx context.Context) error {
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
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		published, err := s.probeOnce(ctx, n)
		if err != nil {
			return err
		}
		if published {
			timer.Reset(s.timing.probeEvery)
		} else {
			timer.Reset(min(s.timing.retryEvery, s.timing.probeEvery))
		}
	}
}

// probeOnce returns whether the server took the probe. If it did not, a sign of
// life of the connection will do.
func (s *session) probeOnce(ctx context.Context, n uint64) (published bool, err error) {
	read := s.read.Load()
	if err := s.pubsub.Ping(sealed); err != nil {
		return false, fmt.Errorf("rediscache: ping: %w", err)
	}
	s.sent.Store(n)
	published = s.call(ctx, func(ctx context.Context) error {
		return s.client.Publish(ctx, s.probe, strconv.FormatUint(n, 10)).Err()
	})
	// Ticks are counted instead of time: a process that stood still for a while
	// has not listened for as long.
	every := s.timing.probeTimeout / 20
	tick := time.NewTicker(every)
	defer tick.Stop()
	for waited := time.Duration(0); waited < s.timing.probeTimeout; waited += every {
		if s.probed.Load() >= n || !published && s.read.Load() != read {
			return published, nil
		}
		select {
		case <-ctx.Done():
			return published, context.Cause(ctx)
		case <-tick.C:
		}
	}
	return published, errProbeMissed
}
