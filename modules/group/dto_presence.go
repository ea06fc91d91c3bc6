package group

import (
	"encoding/json"
	"slices"

	"github.com/moim-live/moim/internal/rawjson"
)

// maxState bounds a member's live state.
const maxState = 4 << 10

// PresenceRequest says what a member is doing.
type PresenceRequest struct {
	State json.RawMessage // an object; null clears it

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *PresenceRequest) UnmarshalJSON(data []byte) error { return r.fill(data, r) }

func (r *PresenceRequest) read(b *body) { r.State, _ = b.raw("state") }

// Validate reports all mistakes at once, as validation_failed.
func (r PresenceRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	switch {
	case r.State == nil:
		m.add("state", "is required")
	case !rawjson.IsNull(r.State):
		m.object("state", tidy(r.State), maxState)
	}
	return m.err()
}
