package redisrole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// verifyEvery is how long [Clients.Verify] reuses its last result.
	verifyEvery   = 4 * time.Second
	verifyTimeout = 2 * time.Second
	// If a server is replaced more than maxReplaced times in a row, each within unstableFor
	// of the one before, its address is unstable. Verify then ignores the address for
	// unstablePause, because otherwise it would reset connections all the time.
	maxReplaced   = 4
	unstableFor   = 20 * time.Second
	unstablePause = 10 * time.Minute
	// watchEvery is the interval at which [Clients.Watch] calls Verify.
	watchEvery = 5 * time.Second
)

var errUnstable = errors.New("the address keeps leading to different servers")

// Reset closes every connection of a role's client and its duplicates. Running calls fail.
// The next calls connect again, which asks the Sentinels and name servers again. Call it if
// a server answers but is not the one that the other nodes use.
//
// Reset has no effect on the clients of a cluster, which follow the cluster on their own,
// and on given clients. It does reset the duplicates of given clients.
func (c *Clients) Reset(role Role) {
	if t := c.roles[role].tracker; t != nil {
		closeAll(t.conns(func(*trackedConn) bool { return true }))
	}
}

// Verify opens a new connection to check whether a role's address still leads to the same
// server, and whether that server's replication role is still the same. If not, it resets
// the older connections and returns true. Nothing else ends connections to a server that
// still runs after it was replaced.
//
// Verify opens at most one connection every four seconds, however often it is called. It
// cannot check a cluster, or a server that refuses INFO. If an address leads to another
// server every few seconds, Verify returns an error once, and then ignores the address for
// ten minutes.
func (c *Clients) Verify(ctx context.Context, role Role) (replaced bool, err error) {
	t := c.roles[role].tracker
	if t == nil || !t.verifying.TryLock() { // another call is verifying
		return false, nil
	}
	defer t.verifying.Unlock()
	if time.Since(t.verifiedAt) < t.validFor || t.replaced == maxReplaced && time.Since(t.replacedAt) < unstablePause {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	older := t.madeBefore(t.verifiedAt)
	client, err := c.roles[role].duplicate(nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = client.Close() }()
	now, err := identityOf(ctx, client)
	if err != nil {
		return false, fmt.Errorf("identify the %s role's server: %w", role, err)
	}
	t.verifiedAt = time.Now()
	before := t.server
	if now == before || now == "" {
		return false, nil
	}
	t.server = now
	if before == "" {
		return false, nil
	}
	if time.Since(t.replacedAt) > unstableFor {
		t.replaced = 0
	}
	t.replacedAt = t.verifiedAt
	if t.replaced++; t.replaced == maxReplaced {
		return false, errUnstable
	}
	closeAll(older)
	return true, nil
}

// Watch calls [Clients.Verify] every five seconds until ctx ends, and logs the results. Run
// it while a connection is held open.
func (c *Clients) Watch(ctx context.Context, role Role, log *slog.Logger) {
	if c.roles[role].tracker == nil {
		return
	}
	for {
		replaced, err := c.Verify(ctx, role)
		switch {
		case replaced:
			log.InfoContext(ctx, "redisrole: a server was replaced, or changed between master and replica; reconnecting",
				"role", role, "server", c.Where(role))
		case errors.Is(err, errUnstable):
			log.WarnContext(ctx, "redisrole: a role's server is not verified for a while", "role", role, "server", c.Where(role), "err", err)
		case err != nil && ctx.Err() == nil:
			log.DebugContext(ctx, "redisrole: a role's server is not verified", "role", role, "err", err)
		}
		if !tasks.Pause(ctx, watchEvery) {
			return
		}
	}
}

// identityOf returns the id of the server's process and its replication role, or "" if the
// server refuses INFO.
func identityOf(ctx context.Context, client redis.UniversalClient) (string, error) {
	text, err := client.Info(ctx, "server", "replication").Result()
	if _, refused := errors.AsType[redis.Error](err); refused {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	info := parseInfo(text)
	if info["run_id"] == "" {
		return "", nil
	}
	return info["run_id"] + " " + info["role"], nil
}
