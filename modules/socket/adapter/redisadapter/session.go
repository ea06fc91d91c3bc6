package redisadapter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

const (
	subscribeBatch = 512 // channels in one command
	connectTimeout = 3 * time.Second
	syncedPing     = "synced " // and a number: what is asked for after all rooms were sent
	alivePing      = "alive"
)

var (
	errProbeMissed = errors.New("redisadapter: the connection is open, but what is published does not arrive on it")
	errSlotMoved   = errors.New("redisadapter: the channels moved to another server of the cluster")
	errReceived    = errors.New("redisadapter: the connection ended")
)

// session is one connection that subscribes, from dialing to its end.
type session struct {
	*shard
	conn subscription

	heard    atomic.Uint64 // messages of any kind that were read
	probed   atomic.Uint64 // number of the last probe that came back
	busy     atomic.Bool   // the reader is delivering
	restored atomic.Bool   // all that was wanted at the beginning is subscribed to
}

// connect opens a connection that subscribes to the node's own channel.
func (s *shard) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := open(ctx, s.subscriber, s.keys.sharded, s.probe)
	if err != nil {
		return nil, err
	}
	return &session{shard: s, conn: conn}, nil
}

// run keeps the connection's subscriptions as they are wished for. It returns
// why the connection ended, when nothing of it runs any more.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var helpers sync.WaitGroup
	helpers.Go(func() { fail(s.read()) })
	helpers.Go(func() { fail(s.keepProbing(ctx)) })
	// Probes come back from a server that lives on although another one has
	// taken its place, if all connections stayed with it.
	helpers.Go(func() { s.clients.Watch(ctx, redisrole.Socket, s.a.log) })
	err := s.follow(ctx)
	fail(err)
	s.conn.close() // the reader waits in a read
	helpers.Wait()
	return context.Cause(ctx)
}

// follow sends what changes in the node's interests.
func (s *session) follow(ctx context.Context) error {
	s.follower.restart(s.index)
	for told := uint64(0); ; {
		asked := s.syncs.Load() // what was wanted before that is among what follows
		for {
			subscribe, leave := s.follower.take(s.index, subscribeBatch)
			if len(subscribe)+len(leave) == 0 {
				break
			}
			if err := s.conn.change(s.channels(subscribe), s.channels(leave)); err != nil {
				return err
			}
		}
		if asked > told {
			// Answers come in order: this one after the confirmations.
			if err := s.conn.ping(syncedPing + strconv.FormatUint(asked, 10)); err != nil {
				return err
			}
			told = asked
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.changes.wake:
		}
	}
}

func (s *session) channels(rooms []string) []string {
	channels := make([]string, len(rooms))
	for i, room := range rooms {
		channels[i] = s.keys.room(room)
	}
	return channels
}

// read receives until the connection ends.
func (s *session) read() error {
	for {
		received, err := s.conn.receive()
		if err != nil {
			return fmt.Errorf("%w: %w", errReceived, err)
		}
		s.heard.Add(1)
		switch received := received.(type) {
		case *redis.Message:
			if received.Channel == s.probe {
				s.returned(received.Payload)
				continue
			}
			s.busy.Store(true)
			s.link.receive(received.Channel, received.Payload)
			s.busy.Store(false)
		case *redis.Pong:
			s.answered(received.Payload)
		case *redis.Subscription:
			if received.Channel == s.probe && strings.HasSuffix(received.Kind, "unsubscribe") {
				return errSlotMoved
			}
			if room, ok := s.keys.roomOf(received.Channel); ok {
				s.follower.confirm(room)
			}
		}
	}
}

// answered notes that all that was wanted before a sync is subscribed to.
func (s *session) answered(payload string) {
	text, ok := strings.CutPrefix(payload, syncedPing)
	if !ok {
		return
	}
	n, _ := strconv.ParseUint(text, 10, 64) // it was sent as a number
	s.synced.Store(n)
	if !s.restored.Swap(true) {
		s.connected()
	}
}

// returned notes a probe. Anyone may publish anything on the channel.
func (s *session) returned(payload string) {
	r := reader{rest: payload}
	if n := r.uvarint(); !r.failed && n > s.probed.Load() {
		s.probed.Store(n)
	}
}

// keepProbing publishes to the node's own channel again and again. It returns when
// a probe does not arrive: the subscriptions are on a server that others do
// not publish to, or the connection is dead without an end.
//
// It does so on a busy connection as well: traffic of others says nothing of
// where this node's own messages go.
func (s *session) keepProbing(ctx context.Context) error {
	ticker := time.NewTicker(s.a.timing.probeEvery)
	defer ticker.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if err := s.probeOnce(ctx, n); err != nil {
			return err
		}
	}
}

func (s *session) probeOnce(ctx context.Context, n uint64) error {
	heard := s.heard.Load()
	if err := s.conn.ping(alivePing); err != nil {
		return err
	}
	publish, cancel := context.WithTimeout(ctx, s.a.timing.probeTimeout)
	err := s.publisher.send(publish, s.probe, binary.AppendUvarint(nil, n))
	cancel()
	// Ticks are counted instead of time: a process that stood still for a while
	// has not listened for as long.
	every := s.a.timing.probeTimeout / 20
	tick := time.NewTicker(every)
	defer tick.Stop()
	for waited := time.Duration(0); ; waited += every {
		alive := s.heard.Load() != heard
		if alive && (err != nil || s.probed.Load() >= n) {
			return nil
		}
		// A connection with a backlog may be late; it may not be so for ever.
		limit := s.a.timing.probeTimeout
		if alive || s.busy.Load() {
			limit = s.a.timing.probeLate
		}
		if waited >= limit {
			return errProbeMissed
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
