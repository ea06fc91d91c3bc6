package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

const (
	modelClients = 3
	maxWaits     = 10_000 // of one run
)

// steppedLog is a log whose reads begin and return only when the test calls proceed.
type steppedLog struct {
	*memoryLog
	step chan struct{}

	mu     sync.Mutex
	broken bool // the next read fails
	opened bool
	waits  int
}

// proceed lets a waiting read begin or return, if there is one.
func (l *steppedLog) proceed() {
	select {
	case l.step <- struct{}{}:
	default:
	}
}

func (l *steppedLog) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
}

// openUp lets all reads continue without proceed.
func (l *steppedLog) openUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.opened {
		l.opened = true
		close(l.step)
	}
}

func (l *steppedLog) wait(ctx context.Context) error {
	select {
	case <-l.step:
	case <-ctx.Done():
		return fault.ErrUnavailable.WithCause(ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits++; l.waits > maxWaits {
		panic("the log is read again and again")
	}
	if l.broken {
		l.broken = false
		return fault.ErrUnavailable
	}
	return nil
}

func (l *steppedLog) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (group.LogPage, error) {
	if err := l.wait(ctx); err != nil {
		return group.LogPage{}, err
	}
	page, err := l.memoryLog.Read(ctx, groupID, since, limit, users)
	return page, errors.Join(err, l.wait(ctx))
}

func (l *steppedLog) Memberships(ctx context.Context, groupID string, users []string) (group.Memberships, error) {
	if err := l.wait(ctx); err != nil {
		return group.Memberships{}, err
	}
	st, err := l.memoryLog.Memberships(ctx, groupID, users)
	return st, errors.Join(err, l.wait(ctx))
}

// modelClient is a client that follows the protocol and records every violation.
type modelClient struct {
	name  string
	node  node
	texts *messages

	mu        sync.Mutex
	start     int64 // the version at which its subscription begins
	knew      int64 // the group's version in the answer
	found     map[int64]string
	asking    context.CancelFunc // set while Subscribe runs
	answered  bool               // the feed has answered, but release was not called yet
	following bool
	last      int64 // the version of its last event
	signals   []int // the signals that it must still receive
	removed   int64 // the version at which its node learned that it was removed
	busy      bool
	faults    []string
	story     []string
}

var _ Subscriber = (*modelClient)(nil)

func (c *modelClient) ID() string { return c.name }

func (c *modelClient) UserID() string { return c.name }

func (c *modelClient) Codec() adapter.Codec { return recorderCodec{} }

func (c *modelClient) Join(room string) { _ = c.node.hub.Join(room, c) }

func (c *modelClient) Leave(room string) { c.node.hub.Leave(room, c) }

func (*modelClient) Writable() bool { return true }

func (c *modelClient) SendAll(frames []*engine.Frame) {
	for _, f := range frames {
		c.Send(f)
	}
}

func (c *modelClient) WhenFree(fn func()) { time.AfterFunc(time.Millisecond, fn) }

func (c *modelClient) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

func (c *modelClient) setBusy(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = busy
}

func (c *modelClient) Send(f *engine.Frame) {
	event, data, _ := bytes.Cut(f.Payload(), []byte(" "))
	var d struct {
		Version int64
		Type    group.EventType
		Data    messageData
		Reason  string
	}
	if err := json.Unmarshal(data, &d); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, fmt.Sprint(string(event), d.Version, d.Reason))
	switch {
	case !c.following:
		c.complainLocked("is sent %s %d%s without a subscription", event, d.Version, d.Reason)
	case string(event) == group.EventClosed:
		c.following = false
	case string(event) == group.EventSignal && c.removed > c.knew:
		c.complainLocked("is sent a signal after event %d has removed it", c.removed)
	case string(event) == group.EventSignal:
		c.signals = slices.DeleteFunc(c.signals, func(n int) bool { return int64(n) == d.Version })
	case d.Version != c.last+1:
		c.complainLocked("is sent event %d after %d", d.Version, c.last)
	default:
		c.last = d.Version
		fold(c.found, d.Version, d.Type, d.Data)
		if by := c.texts.removedIn(d.Data.Text); by > 0 && by <= c.knew && c.texts.comparable() {
			c.complainLocked("is sent text %q in event %d, but event %d had removed it, and the answer had version %d", d.Data.Text, d.Version, by, c.knew)
		}
	}
}

func (c *modelClient) complainLocked(format string, args ...any) {
	c.faults = append(c.faults, c.name+" "+fmt.Sprintf(format, args...)+"; "+fmt.Sprint(c.story))
}

// subscribe subscribes, unless a subscription is already in progress.
func (c *modelClient) subscribe(t *testing.T, since *int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking != nil || c.answered {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c.asking = cancel
	go func() {
		defer cancel()
		answer, err := c.node.feed.Subscribe(ctx, c, SubscribeRequest{
			GroupID: "g", Since: since, Admit: func(group.Group, *group.Member) error { return nil },
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asking = nil
		if err != nil {
			c.story = append(c.story, "refused")
			return
		}
		c.story = append(c.story, fmt.Sprint("answer", answer.Version))
		c.answered, c.following, c.last, c.signals = true, true, answer.Version, nil
		c.start, c.knew, c.found = answer.Version, answer.Group.Version, make(map[int64]string)
	}()
}

// release tells the feed that the answer was sent to the client.
func (c *modelClient) release() {
	c.mu.Lock()
	answered := c.answered
	c.answered = false
	c.mu.Unlock()
	if answered {
		c.node.feed.Release(c, "g")
	}
}

// expect makes the client wait for a signal if it is subscribed.
func (c *modelClient) expect(signal int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following {
		c.signals = append(c.signals, signal)
	}
}

// wasRemoved records the version at which the client's node learned that the client was
// removed from the group. 0 means that it is a member.
func (c *modelClient) wasRemoved(version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = version
}

// leave unsubscribes.
func (c *modelClient) leave() {
	c.mu.Lock()
	asking := c.asking != nil || c.answered
	c.mu.Unlock()
	if asking {
		return
	}
	c.node.feed.Unsubscribe(c, "g", group.EndUnsubscribed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, "left")
	c.following = false
}

// cancelled cancels the call of Subscribe in progress.
func (c *modelClient) cancelled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking != nil {
		c.asking()
	}
}

// complaints returns the violations, given the log's last version.
func (c *modelClient) complaints(head int64) []string {
	subscribed := c.node.feed.IsSubscribed(c, "g")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following && c.last != head {
		c.complainLocked("should have all events, and has %d of %d", c.last, head)
	}
	if c.following && len(c.signals) > 0 {
		c.complainLocked("has missed the signals %v", c.signals)
	}
	if want := c.texts.after(c.start); c.following && c.last == head && c.texts.comparable() && !maps.Equal(c.found, want) {
		c.complainLocked("ends with the messages %v, but the log has %v", c.found, want)
	}
	if c.following != subscribed {
		c.complainLocked("was told that it is subscribed: %v, but the feed has it subscribed: %v", c.following, subscribed)
	}
	return slices.Clone(c.faults)
}
