package redisadapter

import (
	"context"
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
	syncedPing     = "synced " // followed by a number; sent after the commands for all rooms
	alivePing      = "alive"
)

var (
	errSlotMoved = errors.New("redisadapter: the channels moved to another server of the cluster")
	errReceived  = errors.New("redisadapter: the connection ended")
)

// session is one connection that subscribes, from dialing to its end.
type session struct {
	*shard
	conn subscription

	prober   redisrole.Prober
	restored atomic.Bool // all rooms that were wanted at the start are subscribed to
}

// connect opens a connection that subscribes to the node's own channel.
func (s *shard) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := open(ctx, s.subscriber, s.keys.sharded, s.probe)
	if err != nil {
		return nil, err
	}
	return &session{shard: s, conn: conn, prober: redisrole.Prober{
		Ping:    func() error { return conn.ping(alivePing) },
		Publish: func(ctx context.Context, n string) error { return s.publisher.send(ctx, s.probe, []byte(n)) },
		Timeout: s.timing.ProbeTimeout,
		Late:    s.timing.ProbeLate,
	}}, nil
}

// run keeps the subscriptions as wanted. After the connection has ended and all goroutines
// have returned, it returns the reason.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var helpers sync.WaitGroup
	helpers.Go(func() { fail(s.read()) })
	helpers.Go(func() { fail(s.keepProbing(ctx)) })
	helpers.Go(func() { s.clients.Watch(ctx, redisrole.Socket, s.log) })
	err := s.follow(ctx)
	fail(err)
	s.conn.close() // ends the reader's read
	helpers.Wait()
	return context.Cause(ctx)
}

// follow sends commands for the rooms whose interest changes.
func (s *session) follow(ctx context.Context) error {
	s.interests.restart(s.index)
	for told := uint64(0); ; {
		asked := s.syncs.Load() // rooms that were wanted before this are among those taken below
		for {
			subscribe, leave := s.interests.take(s.index, subscribeBatch)
			if len(subscribe)+len(leave) == 0 {
				break
			}
			if err := s.conn.change(s.channels(subscribe), s.channels(leave)); err != nil {
				return err
			}
		}
		if asked > told {
			// Replies come in order, so this reply comes after the confirmations.
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
		s.prober.Heard()
		switch received := received.(type) {
		case *redis.Message:
			if received.Channel == s.probe {
				s.prober.Returned(received.Payload)
				continue
			}
			s.prober.Busy.Store(true)
			s.receive(received.Channel, received.Payload)
			s.prober.Busy.Store(false)
		case *redis.Pong:
			s.answered(received.Payload)
		case *redis.Subscription:
			if received.Channel == s.probe && strings.HasSuffix(received.Kind, "unsubscribe") {
				return errSlotMoved
			}
			if room, ok := s.keys.roomOf(received.Channel); ok {
				s.interests.confirm(room)
			}
		}
	}
}

// answered records that all rooms that were wanted before a sync are now subscribed to.
func (s *session) answered(payload string) {
	text, ok := strings.CutPrefix(payload, syncedPing)
	if !ok {
		return
	}
	n, _ := strconv.ParseUint(text, 10, 64) // sent by this node, so it is a number
	s.synced.Store(n)
	if !s.restored.Swap(true) {
		s.connected()
	}
}

// keepProbing sends probes, also on a busy connection. It returns when one does not come
// back.
func (s *session) keepProbing(ctx context.Context) error {
	ticker := time.NewTicker(s.timing.ProbeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if _, err := s.prober.Probe(ctx); err != nil {
			return redisError("probe", err)
		}
	}
}
