package group

import (
	"encoding/json"
	"time"
)

// Present is a member who is online, or was until lately.
type Present struct {
	UserID     string          `json:"userId" example:"bob"`
	Status     string          `json:"status" enum:"online,reconnecting,offline"`
	State      json.RawMessage `json:"state,omitempty" format:"object" doc:"what the member set with presence:set"`
	LastSeenAt *time.Time      `json:"lastSeenAt,omitempty" doc:"absent while the member is online"`
	AsOf       time.Time       `json:"-"` // when this was read, by the store's clock

	// Reason is why the member is reconnecting. It is empty if unknown.
	Reason string `json:"-"`
	// Nodes are the nodes where an online member has a subscribed socket. Nodes of earlier
	// versions are missing.
	Nodes []string `json:"-"`
}

// Place returns the sort key of p in a list: online members come first, then reconnecting,
// then offline members, each ordered by user id.
func (p Present) Place() string {
	switch p.Status {
	case StatusOnline:
		return "1" + p.UserID
	case StatusReconnecting:
		return "2" + p.UserID
	default:
		return "3" + p.UserID
	}
}

// PresenceChange is the whole presence of a user, from At on.
type PresenceChange struct {
	UserID string          `json:"userId"`
	Status string          `json:"status" enum:"online,reconnecting,offline"`
	Reason string          `json:"reason,omitempty" enum:"left,dropped,removed,node_lost,drained,expired" doc:"why the member is not online"`
	State  json.RawMessage `json:"state,omitempty" format:"object"`
	At     time.Time       `json:"at" doc:"by the store's clock; of two changes, the later one counts"`
	// Returned means that the user was reconnecting and is online again.
	Returned bool `json:"-"`
}

// Statuses of a member.
const (
	StatusOnline       = "online"       // has a subscribed socket
	StatusReconnecting = "reconnecting" // lost the last one less than presence.grace ago
	StatusOffline      = "offline"
)

// Reasons why a member is not online.
const (
	ReasonLeft     = "left"      // unsubscribed, or left the group
	ReasonDropped  = "dropped"   // their connection ended
	ReasonRemoved  = "removed"   // removed or banned, or the group is deleted
	ReasonNodeLost = "node_lost" // their node died
	ReasonDrained  = "drained"   // their node stopped
	ReasonExpired  = "expired"   // their token expired, or a back end disconnected them
)
