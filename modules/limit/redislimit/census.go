// Package redislimit counts the sockets of users in the whole cluster, on the Redis server
// of the group role. [Census] implements [limit.Census].
package redislimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/limit"
)

const (
	// lasting is how long a node's report of a user's sockets counts. So the sockets of a
	// killed node stop counting after this time.
	lasting = 2 * time.Minute
	// repeatEvery is the interval at which a node repeats its report for users with at
	// least repeatFrom sockets. Fewer sockets matter only if a user opens many within
	// lasting.
	repeatEvery = lasting / 3
	repeatFrom  = 5
	// timeout limits a call, because a handshake waits for it.
	timeout = 500 * time.Millisecond
	// rest is how long the server is not asked after a failure.
	rest = 2 * time.Second
)

//go:embed count.lua
var countSource string

var errResting = errors.New("redislimit: the server has failed a moment ago")

// Census implements [limit.Census]. It is safe for concurrent use.
type Census struct {
	client func() redis.UniversalClient
	prefix string
	node   string
	log    *slog.Logger
	count  *redis.Script
	failed atomic.Int64 // time of the last failure, in ns; 0 for none
	broken atomic.Int64 // number of unreadable values
	tasks  *tasks.Group

	mu   sync.Mutex
	many map[string]int // number of sockets, for users with at least repeatFrom
}

var _ limit.Census = (*Census)(nil)

// New returns the census of a node. client returns the current client, which may change.
// Keys begin with prefix.
func New(client func() redis.UniversalClient, prefix, node string, log *slog.Logger) *Census {
	return &Census{
		client: client, prefix: prefix, node: node, log: log, count: redis.NewScript(countSource),
		tasks: tasks.New(), many: make(map[string]int),
	}
}

// Start starts the goroutine that repeats reports. It does no I/O.
func (c *Census) Start(context.Context) error {
	c.tasks.Run(func(ctx context.Context) { tasks.Every(ctx, repeatEvery, nil, func() { c.repeat(ctx) }) })
	return nil
}

// Stop stops it. The server forgets this node's sockets after some time.
func (c *Census) Stop(ctx context.Context) error { return c.tasks.Stop(ctx) }

func (c *Census) repeat(ctx context.Context) {
	c.mu.Lock()
	many := maps.Clone(c.many)
	c.mu.Unlock()
	for userID, own := range many {
		if _, err := c.ask(ctx, userID, own); err != nil {
			return // retried next time
		}
	}
}

// Count implements [limit.Census].
func (c *Census) Count(ctx context.Context, userID string, own int) (others int, err error) {
	c.mu.Lock()
	if own >= repeatFrom {
		c.many[userID] = own
	} else {
		delete(c.many, userID)
	}
	c.mu.Unlock()
	if time.Since(time.Unix(0, c.failed.Load())) < rest {
		return 0, errResting
	}
	return c.ask(ctx, userID, own)
}

func (c *Census) ask(ctx context.Context, userID string, own int) (others int, err error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	keys := []string{c.key(userID)}
	answer, err := c.count.Run(within, c.client(), keys, c.node, own, lasting.Milliseconds()).Int64Slice()
	if err == nil && len(answer) != 2 {
		err = fmt.Errorf("redislimit: an answer of %d parts", len(answer))
	}
	if err != nil {
		if ctx.Err() == nil {
			c.failed.Store(time.Now().UnixNano())
		}
		return 0, err
	}
	if answer[1] != 0 && c.broken.Add(1) == 1 {
		c.log.WarnContext(ctx, "redislimit: a key held what Moim did not write; it was replaced. Further ones are only counted", "key", keys[0])
	}
	return int(answer[0]), nil
}

// Forget removes the counts of a user whose sockets are closed on all nodes.
func (c *Census) Forget(ctx context.Context, userID string) error {
	c.mu.Lock()
	delete(c.many, userID)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.client().Del(ctx, c.key(userID)).Err(); err != nil {
		return fmt.Errorf("redislimit: forget a user: %w", err)
	}
	return nil
}

func (c *Census) key(userID string) string { return c.prefix + ":limit:sockets:" + userID }

// Broken returns the number of unreadable values that were replaced.
func (c *Census) Broken() int64 { return c.broken.Load() }
