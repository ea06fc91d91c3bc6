package feed

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/engine"
)

// slowSocket is a socket whose writes take some time.
type slowSocket struct {
	*recorder
	takes time.Duration
}

func (s slowSocket) Join(room string)  { _ = s.hub.Join(room, s) }
func (s slowSocket) Leave(room string) { s.hub.Leave(room, s) }

func (s slowSocket) Send(f *engine.Frame) {
	time.Sleep(s.takes)
	s.recorder.Send(f)
}

func (slowSocket) Writable() bool { return true }

func (s slowSocket) SendAll(frames []*engine.Frame) {
	time.Sleep(s.takes)
	s.recorder.SendAll(frames)
}

// largeGroup returns a group with so many subscribers that a caller does not send to them
// itself. The last subscriber is slow.
func largeGroup(t *testing.T, takes time.Duration) (log *memoryLog, feed *Feed, subscribers []*recorder) {
	t.Helper()
	log = newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	for i := range inlineSockets {
		s := newRecorder(node.hub, fmt.Sprint("u", i))
		s.follow(t, node.feed, "g", nil)
		subscribers = append(subscribers, s)
	}
	slow := slowSocket{newRecorder(node.hub, "slow"), takes}
	if _, err := node.feed.Subscribe(t.Context(), slow, SubscribeRequest{GroupID: "g", Admit: func(group.Group, *group.Member) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	node.feed.Release(slow, "g")
	return log, node.feed, append(subscribers, slow.recorder)
}

// TestALargeGroupRestsAfterItWasSentTo checks that the feed waits after a slow send, for as
// long as the send took. Events of this time are sent together in one write. A large, busy
// group thus leaves processor time to others, and its events are not much later.
func TestALargeGroupRestsAfterItWasSentTo(t *testing.T) {
	t.Parallel()
	for takes, rests := range map[time.Duration]time.Duration{
		0:                     0,
		restFrom:              restFrom,
		20 * time.Millisecond: 20 * time.Millisecond,
		time.Second:           longestRest,
	} {
		t.Run(takes.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log, feed, subscribers := largeGroup(t, takes)
				began := time.Now()
				feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
				synctest.Wait() // the first event is being sent
				for range 5 {
					feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
					synctest.Wait()
				}
				slow := subscribers[inlineSockets]
				for slow.last() < 7 {
					time.Sleep(takes/10 + 1)
					synctest.Wait()
				}
				took, writes := time.Since(began), slow.writes.Load()
				if takes == 0 {
					if writes != 6 {
						t.Errorf("the sends were fast, but 6 events came in %d writes", writes)
					}
					return
				}
				if want := takes + rests + takes; took < want || took > want+takes/5 {
					t.Errorf("six events took %s, want %s", took, want)
				}
				for _, s := range subscribers {
					s.checkOrder(t)
					if s.writes.Load() != 2 || s.last() != 7 {
						t.Fatalf("%s got up to %d in %d writes", s.user, s.last(), s.writes.Load())
					}
				}
			})
		})
	}
}

// TestAnEventThatEndsSubscriptionsIsTheLastOfItsWrite checks that a removed user receives
// the event of the removal and no later one.
func TestAnEventThatEndsSubscriptionsIsTheLastOfItsWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, feed, subscribers := largeGroup(t, 10*time.Millisecond)
		feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
		synctest.Wait()
		feed.Announce(context.Background(), []group.Event{
			log.post("g", group.MessagePosted, `{}`),
			log.post("g", group.MemberRemoved, `{"userId":"u0"}`),
			log.post("g", group.MessagePosted, `{}`),
			log.post("g", group.MessagePosted, `{}`),
		})
		time.Sleep(time.Second)
		synctest.Wait()
		for _, s := range subscribers {
			s.checkOrder(t)
			last, reason := int64(6), ""
			if s.user == "u0" {
				last, reason = 4, group.EndRemoved
			}
			if s.last() != last || s.reason != reason {
				t.Errorf("%s got up to %d, closed: %q", s.user, s.last(), s.reason)
			}
		}
	})
}

// TestManyEventsGoOutInSeveralWrites checks that the number of events in one write is
// bounded.
func TestManyEventsGoOutInSeveralWrites(t *testing.T) {
	t.Parallel()
	const events = 2*liveEvents - 100
	synctest.Test(t, func(t *testing.T) {
		log, feed, subscribers := largeGroup(t, 10*time.Millisecond)
		feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
		synctest.Wait()
		for range events {
			feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, s := range subscribers {
			if s.last() != events+2 || s.writes.Load() != 3 {
				t.Errorf("%s got up to %d in %d writes", s.user, s.last(), s.writes.Load())
			}
		}
	})
}

// TestAChangeIsOneWrite checks that the events of one change are sent in one write.
func TestAChangeIsOneWrite(t *testing.T) {
	t.Parallel()
	const joined = 500
	synctest.Test(t, func(t *testing.T) {
		log, feed, subscribers := largeGroup(t, 10*time.Millisecond)
		var events []group.Event
		for i := range joined {
			events = append(events, log.post("g", group.MemberJoined, fmt.Sprintf(`{"userId":"user-%d"}`, i)))
		}
		feed.Announce(context.Background(), events)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, s := range subscribers {
			s.checkOrder(t)
			if s.last() != joined+1 || s.writes.Load() != 1 {
				t.Errorf("%s got up to %d in %d writes", s.user, s.last(), s.writes.Load())
			}
		}
	})
}

// TestCatchingUpDoesNotRest checks that the feed does not wait between the events for a
// slow socket that catches up.
func TestCatchingUpDoesNotRest(t *testing.T) {
	t.Parallel()
	const events = 10 * stepEvents
	synctest.Test(t, func(t *testing.T) {
		log := logOf(events)
		node := newCluster(t, log, 1, nil)[0]
		slow := slowSocket{newRecorder(node.hub, "slow"), 2 * restFrom}
		_, err := node.feed.Subscribe(t.Context(), slow, SubscribeRequest{
			GroupID: "g", Since: new(int64(1)), Admit: func(group.Group, *group.Member) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		node.feed.Release(slow, "g")
		for slow.last() < 1+events {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if took, want := time.Since(began), events*slow.takes; took > want+10*time.Millisecond {
			t.Errorf("%d events took %s, want %s", events, took, want)
		}
	})
}
