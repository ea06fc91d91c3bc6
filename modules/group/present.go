package group

import (
	"encoding/json"
	"time"
)

// Present is a member who is there, or was lately.
type Present struct {
	UserID     string          `json:"userId"`
	Status     string          `json:"status"` // online, reconnecting or offline
	State      json.RawMessage `json:"state,omitempty"`
	LastSeenAt *time.Time      `json:"lastSeenAt,omitempty"` // of those who are not online
	AsOf       time.Time       `json:"-"`                    // by the store's clock; what happened later may not be in it
}

// PresenceChange is what subscribers are told of a user: all that is true of
// them from then on.
type PresenceChange struct {
	UserID string          `json:"userId"`
	Status string          `json:"status"` // online, reconnecting or offline
	Reason string          `json:"reason,omitempty"`
	State  json.RawMessage `json:"state,omitempty"`
	At     time.Time       `json:"at"` // by the store's clock: of two, the later is right
	// Returned says that they are online and were reconnecting until now.
	Returned bool `json:"-"`
}

// Statuses of a member.
const (
	StatusOnline       = "online"       // has a subscribed socket
	StatusReconnecting = "reconnecting" // had one until now, and may come back
	StatusOffline      = "offline"
)

// Reasons why a member is not online, as subscribers are told.
const (
	ReasonLeft     = "left"      // unsubscribed, or left the group
	ReasonDropped  = "dropped"   // their connection ended
	ReasonRemoved  = "removed"   // removed or banned, or the group is deleted
	ReasonNodeLost = "node_lost" // their node died
	ReasonDrained  = "drained"   // their node stopped
	ReasonExpired  = "expired"   // their token expired, or a back end disconnected them
)
