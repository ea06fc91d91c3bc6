package presence

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Attendance says that a user has a subscribed socket on this node, or has
// none any more.
type Attendance struct {
	GroupID, UserID string

	Here   bool
	Reason string // not here: why, as subscribers are told
	Final  bool   // not here: nobody waits for them, they are offline at once
	Forget bool   // and they are not named among those who were there lately
}

// Store keeps who has a subscribed socket, on any node, and whom it
// waits for: a user whose last socket is gone is reconnecting for the grace,
// and then offline. Each node has a store of its own, and several may share
// what is behind it. Its methods may be called concurrently, but Apply.
type Store interface {
	// Start begins to keep this node's claims alive and to end graces, those of
	// dead nodes among them; a server that is down is no error. tell is called
	// with what happened to users by no change of this node's: their grace is
	// over, their last node died, or their node is this one and was taken for
	// dead. Each is told on one node. tell does not block.
	Start(ctx context.Context, grace time.Duration, tell func(groupID string, changes []group.PresenceChange)) error

	// Apply stores what changed on this node. For each change the answer says
	// what subscribers are to be told, or has no status: other nodes have the
	// user, or nothing is new. After an error nothing is known; how things are
	// then is applied again.
	Apply(ctx context.Context, changes []Attendance) ([]group.PresenceChange, error)

	// SetState stores the live state of a user who is here, or clears it with
	// null, and returns when: of several, the last one stays. It is kept until
	// the user is offline.
	SetState(ctx context.Context, groupID, userID string, state json.RawMessage) (time.Time, error)

	// List returns who is online or reconnecting, and at most 100 who went
	// offline within the hour, in any order. It returns fault.ErrUnavailable
	// while that is not known of all nodes.
	List(ctx context.Context, groupID string) ([]group.Present, error)

	// Count returns how many users each group has online, in the order of
	// groupIDs and in one round trip. It fails as List does. Until a dead
	// node's users are swept, for a few seconds, they may be counted.
	Count(ctx context.Context, groupIDs []string) ([]int, error)

	// Stop gives up this node's claims: its users are reconnecting, drained,
	// and another node ends their grace. No call to tell is running or will
	// run when it returns.
	Stop(ctx context.Context) error
}

// What a store keeps of those who went offline.
const (
	LatelyFor = time.Hour // for how long
	LatelyMax = 100       // of how many users a group, at most
)
