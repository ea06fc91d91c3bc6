package dto

import (
	"encoding/json"
	"time"
)

// AddMembersRequest names users to make members of a group.
type AddMembersRequest struct {
	UserIDs []string          `json:"userIds" example:"bob,carol" doc:"1 to 500 user ids; existing members are skipped"`
	Names   map[string]string `json:"names,omitempty" doc:"name of each new member by user id, 1 to 256 bytes; for back ends only"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *AddMembersRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *AddMembersRequest) read(o *object) {
	o.takeList("userIds", &r.UserIDs, maxAddedMembers, "a list of strings")
	o.take("names", &r.Names, "an object of strings")
}

// Validate returns the request with clean names, or validation_failed with all mistakes.
func (r AddMembersRequest) Validate() (AddMembersRequest, error) {
	m := r.begin()
	m.userIDs("userIds", r.UserIDs, 1, maxAddedMembers)
	names := make(map[string]string, len(r.Names))
	for _, userID := range r.UserIDs[:min(len(r.UserIDs), maxAddedMembers)] {
		if name, given := r.Names[userID]; given {
			names[userID] = m.userName("names."+userID, name)
		}
	}
	if len(names) < len(r.Names) {
		m.add("names", "must name only users in userIds")
	}
	r.Names = names
	return r, m.err()
}

// UpdateMemberRequest is a JSON merge patch of a member: nil fields stay.
type UpdateMemberRequest struct {
	Role       *string         `json:"role,omitempty" enum:"admin,member" doc:"only the owner or a back end can change roles"`
	Attributes json.RawMessage `json:"attributes,omitempty" format:"object" nullable:"true" doc:"merge patch of the attributes; null removes all of them"`

	RevokeInvites bool `json:"-"` // revoke the invites of an admin who becomes a member

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *UpdateMemberRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *UpdateMemberRequest) read(o *object) {
	if o.isNull("role") {
		o.refuse("role", "cannot be removed")
	}
	o.take("role", &r.Role, "a string")
	r.Attributes, _ = o.raw("attributes")
}

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r UpdateMemberRequest) Validate() (UpdateMemberRequest, error) {
	r.Attributes = r.compact(r.Attributes)
	m := r.begin()
	if r.Role != nil {
		m.oneOf("role", *r.Role, "admin", "member")
	}
	m.patch("attributes", r.Attributes, r.reading, maxMemberAttributes)
	return r, m.err()
}

// Patch returns the patch of the attributes. Validate the request first.
func (r UpdateMemberRequest) Patch() Patch {
	return newPatch("attributes", r.Attributes, maxMemberAttributes)
}

// LeaveRequest says who leaves a group. The zero value means the caller.
type LeaveRequest struct {
	UserID string `json:"userId,omitempty" doc:"of a back end: the member on whose behalf it calls"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Check reports the
// mistakes.
func (r *LeaveRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *LeaveRequest) read(o *object) { o.take("userId", &r.UserID, "a string") }

// Check returns validation_failed with all mistakes, or nil.
func (r LeaveRequest) Check() error {
	m := r.begin()
	if r.UserID != "" {
		m.userID("userId", r.UserID)
	}
	return m.err()
}

// BanRequest has the reason and the end of a ban. Both are optional.
type BanRequest struct {
	Reason    string     `json:"reason,omitempty" example:"spam" doc:"at most 500 characters; visible to all members"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" nullable:"true" doc:"RFC 3339, in the future; default: never"`

	KeepInvites bool `json:"-"` // do not revoke the invites that the user made

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *BanRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *BanRequest) read(o *object) {
	o.take("reason", &r.Reason, "a string")
	o.take("expiresAt", &r.ExpiresAt, "a time in RFC 3339 or null")
}

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r BanRequest) Validate(userID string, now time.Time) (BanRequest, error) {
	r.ExpiresAt = storedTime(r.ExpiresAt)
	m := r.begin()
	m.userID("userId", userID)
	m.text("reason", r.Reason, 0, maxReason, "\n\r\t")
	m.future("expiresAt", r.ExpiresAt, now)
	return r, m.err()
}

// MuteRequest has the end of a mute. Without it, the mute does not end.
type MuteRequest struct {
	ExpiresAt *time.Time `json:"expiresAt,omitempty" nullable:"true" doc:"RFC 3339, in the future; default: never"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *MuteRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *MuteRequest) read(o *object) {
	o.take("expiresAt", &r.ExpiresAt, "a time in RFC 3339 or null")
}

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r MuteRequest) Validate(now time.Time) (MuteRequest, error) {
	r.ExpiresAt = storedTime(r.ExpiresAt)
	m := r.begin()
	m.future("expiresAt", r.ExpiresAt, now)
	return r, m.err()
}

// InviteRequest asks for an invite. The zero value asks for one without limits.
type InviteRequest struct {
	MaxUses   *int       `json:"maxUses,omitempty" nullable:"true" example:"5" doc:"how many users can accept the invite; default: no limit"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" nullable:"true" doc:"RFC 3339, in the future; default: never"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *InviteRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *InviteRequest) read(o *object) {
	o.take("maxUses", &r.MaxUses, "a whole number or null")
	o.take("expiresAt", &r.ExpiresAt, "a time in RFC 3339 or null")
}

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r InviteRequest) Validate(now time.Time) (InviteRequest, error) {
	r.ExpiresAt = storedTime(r.ExpiresAt)
	m := r.begin()
	if r.MaxUses != nil && (*r.MaxUses < 1 || *r.MaxUses > maxInviteUses) {
		m.add("maxUses", "must be between 1 and %d", maxInviteUses)
	}
	m.future("expiresAt", r.ExpiresAt, now)
	return r, m.err()
}
