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
