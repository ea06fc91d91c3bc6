package presence

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Attendance says whether a user has a subscribed socket on this node.
type Attendance struct {
	GroupID, UserID string

	Here   bool
	Reason string // not here: the reason that subscribers are told
	Final  bool   // not here: the user is offline at once, without a grace
	Forget bool   // not here: List does not name the user any more
}

// Store keeps which users have a subscribed socket on any node. A user whose last
// socket is gone is reconnecting for the grace, and then offline. Each node has a
// Store of its own; several may share one server. Its methods may be called
// concurrently, except Apply.
type Store interface {
	// Start begins to renew this node's lease and to end graces, also those of
	// dead nodes' users. A server that is down is no error. Start calls tell with
	// changes of users that no Apply of this node made: their grace ended, their
	// last node died, or this node itself was taken for dead. One node is told of
	// each. It also calls tell with users of a dead node who are online elsewhere: the
	// dead node may have stored that they came back and told nobody. tell does not block.
	Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error

	// Apply stores changes of this node. For each one the result holds what
	// subscribers are told. Its status is empty when nothing changed for them, for
	// example because the user has sockets on other nodes; it then only says when the
	// change was stored. After an error the outcome is unknown: call Apply again with
	// the latest changes.
	Apply(ctx context.Context, changes []Attendance) ([]group.PresenceChange, error)

	// SetState stores the live state of a user with a socket on this node, until
	// they are offline, and returns when. null clears it. The last call counts.
	SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error)

	// List returns the users who are online or reconnecting, and at most LatelyMax
	// who went offline within LatelyFor, in any order. It returns
	// fault.ErrUnavailable while that is not known for all nodes.
	List(ctx context.Context, groupID string) ([]group.Present, error)

	// Count returns how many users each group has online, in the order of
	// groupIDs, in one round trip. It fails as List does. It may count a dead
	// node's users for a few seconds.
	Count(ctx context.Context, groupIDs []string) ([]int, error)

	// Stop ends this node's lease. Its users become reconnecting, with reason
	// drained, and another node ends their grace. No call of tell is running or
	// begins after Stop returns.
	Stop(ctx context.Context) error
}

// Bounds of the users whom a store remembers after they went offline.
const (
	LatelyFor = time.Hour // for how long
	LatelyMax = 100       // users in a group
)
