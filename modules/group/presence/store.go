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
	Reason string // if not here: the reason that subscribers are told
	Final  bool   // if not here: the user is offline at once, without a grace
	Forget bool   // if not here: List does not include the user any more
}

// Store keeps which users have a subscribed socket on any node. A user without sockets is
// reconnecting for the grace, and then offline. Each node has its own Store; several may
// share one server. All methods are safe for concurrent use, except that only one Apply may
// run at a time.
type Store interface {
	// Start begins to renew this node's lease and to end graces, including those of dead
	// nodes. It returns no error if the server is down. Start calls tell with changes that
	// did not come from an Apply of this node: a grace ended, the user's last node died, or
	// the other nodes considered this node dead. Only one node reports each change. tell
	// also gets the users of a dead node who are online elsewhere, because the dead node
	// may have stored that they came back without reporting it. tell must not block.
	Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error

	// Apply stores changes of this node. It returns one result for each change, which
	// subscribers are then told. The status is empty if nothing changed for subscribers,
	// for example because the user has sockets on other nodes; then only the time is set.
	// After an error the outcome is unknown: call Apply again with the latest changes.
	Apply(ctx context.Context, changes []Attendance) ([]group.PresenceChange, error)

	// SetState stores the live state of a user with a socket on this node until they are
	// offline, and returns the time of storage. null clears it. The last call wins.
	SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error)

	// List returns the users who are online or reconnecting, and at most LatelyMax users
	// who went offline within LatelyFor, in any order. It returns fault.ErrUnavailable
	// while presence is not known for all nodes.
	List(ctx context.Context, groupID string) ([]group.Present, error)

	// Count returns how many users each group has online, in the order of groupIDs, in one
	// round trip. It returns the same errors as List. It may count a dead node's users for
	// a few seconds.
	Count(ctx context.Context, groupIDs []string) ([]int, error)

	// Stop ends this node's lease. Its users become reconnecting with reason drained, and
	// another node ends their graces. After Stop returns, tell is not running and is not
	// called again.
	Stop(ctx context.Context) error
}

// Limits on the users whom a store lists after they went offline.
const (
	LatelyFor = time.Hour // since they were last seen
	LatelyMax = 100       // users in a group
)
