package dto

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/moim-live/moim/internal/names"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// maxSourceID is the maximum size of a group's id in a file, in bytes.
const maxSourceID = 255

// maxCode is the maximum size of an invite's code in a file, in bytes.
const maxCode = 255

const (
	aTime       = "a time like 2026-01-02T15:04:05Z"
	aTimeOrNull = aTime + ", or null"
)

// GroupLine is a group in a file.
type GroupLine struct {
	ID string `json:"id,omitempty"` // any text
	CreateRequest
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	UpdatedAt *time.Time `json:"updatedAt,omitempty"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *GroupLine) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *GroupLine) read(o *object) {
	r.CreateRequest.read(o)
	o.take("id", &r.ID, "a string")
	o.take("createdAt", &r.CreatedAt, aTime)
	o.take("updatedAt", &r.UpdatedAt, aTime)
	o.take("endedAt", &r.EndedAt, aTimeOrNull)
}

// Validate returns the line with its defaults, as the store keeps it, or validation_failed
// with all mistakes. The limits are those of [CreateRequest.Validate], except that endsAt
// may be in the past.
func (r GroupLine) Validate(maxMembers int, now time.Time) (GroupLine, error) {
	before := now
	if r.EndsAt != nil && r.EndsAt.Before(now) {
		before = r.EndsAt.Add(-time.Second)
	}
	checked, err := r.CreateRequest.Validate(maxMembers, before)
	r.CreateRequest = checked
	m := mistakesIn(err)
	if r.ID != "" {
		m.sourceID("id", r.ID)
	}
	if r.OwnerID == "" {
		m.add("ownerId", "is required")
	}
	r.EndsAt = m.stored("endsAt", r.EndsAt)
	r.CreatedAt = m.past("createdAt", r.CreatedAt, now)
	r.UpdatedAt = m.past("updatedAt", r.UpdatedAt, now)
	r.EndedAt = m.past("endedAt", r.EndedAt, now)
	return r, m.err()
}

// MemberLine is a member of a group in a file.
type MemberLine struct {
	GroupID    string          `json:"groupId"`
	UserID     string          `json:"userId"`
	Name       string          `json:"name,omitempty"`
	Role       string          `json:"role,omitempty"`
	Attributes json.RawMessage `json:"attributes,omitempty"`
	Profile    json.RawMessage `json:"profile,omitempty"`
	JoinedAt   *time.Time      `json:"joinedAt,omitempty"`
	Muted      bool            `json:"muted,omitempty"`
	MutedUntil *time.Time      `json:"mutedUntil,omitempty"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *MemberLine) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *MemberLine) read(o *object) {
	o.take("groupId", &r.GroupID, "a string")
	o.take("userId", &r.UserID, "a string")
	o.take("name", &r.Name, "a string")
	o.take("role", &r.Role, "a string")
	r.Attributes, _ = o.raw("attributes")
	r.Profile, _ = o.raw("profile")
	o.take("joinedAt", &r.JoinedAt, aTime)
	o.take("muted", &r.Muted, "true or false")
	o.take("mutedUntil", &r.MutedUntil, aTimeOrNull)
}

// Validate returns the line as the store keeps it, or validation_failed with all
// mistakes.
func (r MemberLine) Validate(now time.Time) (MemberLine, error) {
	r.Attributes, r.Profile = objectOr(r.compact(r.Attributes)), objectOr(r.compact(r.Profile))
	m := r.begin()
	m.sourceID("groupId", r.GroupID)
	m.userID("userId", r.UserID)
	if r.Name != "" {
		r.Name = m.userName("name", r.Name)
	}
	if r.Role != "" {
		m.oneOf("role", r.Role, "owner", "admin", "member")
	}
	m.object("attributes", r.Attributes, r.reading, maxMemberAttributes)
	m.object("profile", r.Profile, r.reading, maxProfile)
	r.JoinedAt = m.past("joinedAt", r.JoinedAt, now)
	r.MutedUntil = m.stored("mutedUntil", r.MutedUntil)
	if r.MutedUntil != nil && !r.Muted {
		m.add("mutedUntil", "needs muted")
	}
	return r, m.err()
}

// BanLine is a ban in a file.
type BanLine struct {
	GroupID   string     `json:"groupId"`
	UserID    string     `json:"userId"`
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Actor     string     `json:"actor,omitempty"`
	At        *time.Time `json:"at,omitempty"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *BanLine) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *BanLine) read(o *object) {
	o.take("groupId", &r.GroupID, "a string")
	o.take("userId", &r.UserID, "a string")
	o.take("reason", &r.Reason, "a string")
	o.take("expiresAt", &r.ExpiresAt, aTimeOrNull)
	o.take("actor", &r.Actor, "a string")
	o.take("at", &r.At, aTime)
}

// Validate returns the line as the store keeps it, or validation_failed with all
// mistakes. The ban may have expired.
func (r BanLine) Validate(now time.Time) (BanLine, error) {
	m := r.begin()
	m.sourceID("groupId", r.GroupID)
	m.userID("userId", r.UserID)
	m.text("reason", r.Reason, 0, maxReason, "\n\r\t")
	r.ExpiresAt = m.stored("expiresAt", r.ExpiresAt)
	if r.Actor != "" {
		m.userID("actor", r.Actor)
	}
	r.At = m.past("at", r.At, now)
	return r, m.err()
}

// InviteLine is an invite in a file, with its code or the hash of the code.
type InviteLine struct {
	GroupID   string     `json:"groupId"`
	InviteID  string     `json:"inviteId,omitempty"`
	Code      string     `json:"code,omitempty"`
	CodeHash  string     `json:"codeHash,omitempty"` // SHA-256 in hexadecimal
	MaxUses   *int       `json:"maxUses,omitempty"`
	Uses      int        `json:"uses,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	CreatedBy string     `json:"createdBy,omitempty"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *InviteLine) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *InviteLine) read(o *object) {
	o.take("groupId", &r.GroupID, "a string")
	o.take("inviteId", &r.InviteID, "a string")
	o.take("code", &r.Code, "a string")
	o.take("codeHash", &r.CodeHash, "a string")
	o.take("maxUses", &r.MaxUses, "a whole number or null")
	o.take("uses", &r.Uses, "a whole number")
	o.take("expiresAt", &r.ExpiresAt, aTimeOrNull)
	o.take("createdBy", &r.CreatedBy, "a string")
	o.take("createdAt", &r.CreatedAt, aTime)
}

// Validate returns the line as the store keeps it, or validation_failed with all
// mistakes. The invite may have expired, or be used up.
func (r InviteLine) Validate(now time.Time) (InviteLine, error) {
	m := r.begin()
	m.sourceID("groupId", r.GroupID)
	if r.InviteID != "" && !ValidGroupID(r.InviteID) {
		m.add("inviteId", "must be a UUID in small letters: leave it out, and it is made from the code")
	}
	switch {
	case r.Code == "" && r.CodeHash == "":
		m.add("code", "is required, or codeHash: its SHA-256 in hexadecimal")
	case r.Code != "" && r.CodeHash != "":
		m.add("codeHash", "leave it out, because there is a code")
	case r.Code != "" && (!validID(r.Code, maxCode) || strings.Contains(r.Code, "/") || names.IsStep(r.Code)):
		m.add("code", "must have 1 to %d bytes without control characters and /, and not be . or ..", maxCode)
	case r.CodeHash != "":
		if raw, err := hex.DecodeString(r.CodeHash); err != nil || len(raw) != 32 || strings.ToLower(r.CodeHash) != r.CodeHash {
			m.add("codeHash", "must be 64 hexadecimal digits in small letters")
		}
	}
	if r.MaxUses != nil && (*r.MaxUses < 1 || *r.MaxUses > maxInviteUses) {
		m.add("maxUses", "must be between 1 and %d", maxInviteUses)
	}
	if r.Uses < 0 || r.Uses > maxInviteUses {
		m.add("uses", "must be between 0 and %d", maxInviteUses)
	}
	r.ExpiresAt = m.stored("expiresAt", r.ExpiresAt)
	if r.CreatedBy != "" {
		m.userID("createdBy", r.CreatedBy)
	}
	r.CreatedAt = m.past("createdAt", r.CreatedAt, now)
	return r, m.err()
}

// MessageLine is a message in a file.
type MessageLine struct {
	GroupID  string          `json:"groupId"`
	Actor    *string         `json:"actor"` // nil for a user who was erased
	Type     string          `json:"type,omitempty"`
	Data     json.RawMessage `json:"data"`
	At       *time.Time      `json:"at,omitempty"`
	EditedAt *time.Time      `json:"editedAt,omitempty"`
	Version  int64           `json:"version,omitempty"` // version in the log of origin

	anonymous bool // actor is null

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *MessageLine) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *MessageLine) read(o *object) {
	o.take("groupId", &r.GroupID, "a string")
	r.anonymous = o.isNull("actor")
	o.take("actor", &r.Actor, "a string, or null for a user who was erased")
	o.take("type", &r.Type, "a string")
	r.Data, _ = o.raw("data")
	o.take("at", &r.At, aTime)
	o.take("editedAt", &r.EditedAt, aTimeOrNull)
	o.take("version", &r.Version, "a whole number")
}

// Validate returns the line with its defaults, as the store keeps it, or
// validation_failed with all mistakes.
func (r MessageLine) Validate(now time.Time) (MessageLine, error) {
	if r.Type == "" {
		r.Type = "message"
	}
	r.Data = r.compact(r.Data)
	m := r.begin()
	m.sourceID("groupId", r.GroupID)
	switch {
	case r.Actor != nil:
		m.userID("actor", *r.Actor)
	case !r.anonymous:
		m.add("actor", "is required, or null for a user who was erased")
	}
	m.text("type", r.Type, 1, maxType, "")
	m.data(r.Data, r.reading, true)
	r.At, r.EditedAt = m.past("at", r.At, now), m.past("editedAt", r.EditedAt, now)
	return r, m.err()
}

// objectOr returns raw, or an empty object if raw is empty.
func objectOr(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || rawjson.IsNull(raw) {
		return json.RawMessage("{}")
	}
	return raw
}

// mistakesIn returns the mistakes in a validation_failed error, so that a caller can add to
// them.
func mistakesIn(err error) mistakes {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Fields
	}
	return nil
}

func (m *mistakes) sourceID(field, id string) {
	switch {
	case id == "":
		m.add(field, "is required")
	case !validID(id, maxSourceID):
		m.add(field, "must have 1 to %d bytes without control characters", maxSourceID)
	}
}

// stored checks an optional time and returns it with the precision of the store.
func (m *mistakes) stored(field string, at *time.Time) *time.Time {
	at = storedTime(at)
	if at != nil && (at.Year() < 1970 || at.Year() > 9999) {
		m.add(field, "must be in the years 1970 to 9999")
	}
	return at
}

// past is stored for a time that must not be in the future.
func (m *mistakes) past(field string, at *time.Time, now time.Time) *time.Time {
	at = m.stored(field, at)
	if at != nil && at.After(now) {
		m.add(field, "must not be in the future")
	}
	return at
}
