// Package client is for back ends in Go. It receives what Moim's hooks send, and needs
// nothing of the server.
package client

import (
	"encoding/json"
	"time"
)

// Event is one change of a group. Versions count 1, 2, 3 … within the group.
type Event struct {
	GroupID string          `json:"groupId"`
	Version int64           `json:"version"`
	Type    string          `json:"type"`
	Actor   *string         `json:"actor"` // a user id; nil: the system
	Data    json.RawMessage `json:"data"`
	At      time.Time       `json:"at"`
}
