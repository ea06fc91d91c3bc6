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
	// verifyEvery is how long [Clients.Verify] uses its last result.
	verifyEvery   = 4 * time.Second
	verifyTimeout = 2 * time.Second
	// An address is unstable after maxReplaced replacements of its server, each
	// within unstableFor of the one before. Then Verify ignores it for
	// unstablePause, so that it does not reset connections all the time.
	maxReplaced   = 4
	unstableFor   = 20 * time.Second
	unstablePause = 10 * time.Minute
	// watchEvery is how often [Clients.Watch] calls Verify.
	watchEvery = 5 * time.Second
)

var errUnstable = errors.New("the address leads to another server each time")

// Reset closes every connection of a role's client and of its duplicates. Calls
// that run fail. The next ones connect again, which asks the Sentinels and the
// name servers again. Call it if a server answers but is not the one that the
// other nodes use.
//
// Reset does not change the clients of a cluster, which follow the cluster by
// themselves, and given clients. It resets the duplicates of given clients.
func (c *Clients) Reset(role Role) {
	if t := c.roles[role].tracker; t != nil {
		closeAll(t.conns(func(*trackedConn) bool { return true }))
	}
}

// Verify checks over a new connection whether a role's address still leads to
// the same server, and whether that is still a master or still a replica. If
// not, Verify resets the older connections and reports true. Nothing else ends
// connections to a server that still runs after another one has replaced it.
//
// Verify opens at most one connection every four seconds, however often it is
// called. It finds nothing on a cluster, and if the server refuses INFO. It
// returns an error once if an address leads to another server every few
// seconds, and then ignores that address for ten minutes.
func (c *Clients) Verify(ctx context.Context, role Role) (replaced bool, err error) {
	t := c.roles[role].tracker
	if t == nil || !t.verifying.TryLock() { // another call verifies
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

// Watch calls [Clients.Verify] every five seconds until ctx ends, and logs what
// it finds. Run it while a connection is held open.
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

// identityOf returns the id of the server's process and its replication role,
// or nothing if the server refuses to tell.
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
