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

	// Reason is why the member is reconnecting; empty while the store cannot say.
	Reason string `json:"-"`
	// Nodes are those where an online member has a subscribed socket, without nodes of
	// versions before this field.
	Nodes []string `json:"-"`
}

// Place returns where p stands in a list: who is online comes first, then who is
// reconnecting, then who is offline, each by user id. Places compare as strings.
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

// PresenceChange tells subscribers the whole presence of a user from At on.
type PresenceChange struct {
	UserID string          `json:"userId"`
	Status string          `json:"status" enum:"online,reconnecting,offline"`
	Reason string          `json:"reason,omitempty" enum:"left,dropped,removed,node_lost,drained,expired" doc:"why the member is not online"`
	State  json.RawMessage `json:"state,omitempty" format:"object"`
	At     time.Time       `json:"at" doc:"by the store's clock; of two changes, the later one counts"`
	// Returned reports that the user was reconnecting and is online again.
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
