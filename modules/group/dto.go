package group

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/rawjson"
)

// Bounds of what a request may hold. Lengths of names and types are in
// characters, those of ids in bytes, those of attributes and data in bytes of
// their JSON without insignificant space.
const (
	maxName             = 200
	maxDescription      = 4000
	maxAttributes       = 16 << 10
	maxMemberAttributes = 4 << 10
	maxData             = 32 << 10
	maxPatch            = 4  // times the bytes of what it patches
	maxDepth            = 64 // levels of arrays and objects in attributes and data
	maxType             = 64
	maxUserID           = 128
	maxAddedMembers     = 500
	maxSignalTargets    = 100
	maxQuery            = 200
	maxReason           = 500
	maxInviteUses       = 1_000_000
	maxInvites          = 1_000 // that a group may have, good for something
)

// defaultMessageType is the type of a message that names none.
const defaultMessageType = "message"

// CreateRequest asks for a new group.
//
// Like every request here it can be decoded from any JSON: what is wrong with
// it, unknown fields included, is reported by its Validate method, which the
// service calls.
type CreateRequest struct {
	Name        string          `json:"name" doc:"1 to 200 characters"`
	Description string          `json:"description,omitempty" doc:"at most 4000 characters"`
	Visibility  Visibility      `json:"visibility,omitempty" enum:"private,public" doc:"private unless given"`
	JoinPolicy  JoinPolicy      `json:"joinPolicy,omitempty" enum:"open,request,invite" doc:"invite unless given"`
	Capacity    *int            `json:"capacity,omitempty" doc:"seats, the owner's included; null: no limit of its own"`
	Attributes  json.RawMessage `json:"attributes,omitempty" doc:"an object of at most 16 KiB"`

	EndsAt       *time.Time `json:"endsAt,omitempty" doc:"when the group ends"`
	RemindBefore []int      `json:"remindBefore,omitempty" doc:"at most 10 numbers of seconds before endsAt"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *CreateRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *CreateRequest) read(b *body) {
	b.take("name", &r.Name, "a string")
	b.take("description", &r.Description, "a string")
	b.take("visibility", &r.Visibility, "a string")
	b.take("joinPolicy", &r.JoinPolicy, "a string")
	b.take("capacity", &r.Capacity, "a whole number or null")
	r.Attributes, _ = b.raw("attributes")
	b.take("endsAt", &r.EndsAt, "a time like 2026-01-02T15:04:05Z")
	b.takeList("remindBefore", &r.RemindBefore, maxReminders, "a list of seconds")
}

// withDefaults returns a copy in the form that is stored.
func (r CreateRequest) withDefaults() CreateRequest {
	orDefault(&r.Visibility, Private)
	orDefault(&r.JoinPolicy, JoinInvite)
	r.Attributes = normal(r.Attributes)
	r.EndsAt, r.RemindBefore = normalEnd(r.EndsAt), normalReminders(r.RemindBefore)
	return r
}

// Validate reports all mistakes at once, as validation_failed. maxMembers
// bounds the capacity; endsAt must lie after now.
func (r CreateRequest) Validate(maxMembers int, now time.Time) error {
	r = r.withDefaults()
	m := slices.Clip(r.mistakes)
	m.text("name", r.Name, 1, maxName, "")
	m.text("description", r.Description, 0, maxDescription, "\n\r\t")
	oneOf(&m, "visibility", r.Visibility, Private, Public)
	oneOf(&m, "joinPolicy", r.JoinPolicy, JoinOpen, JoinRequest, JoinInvite)
	m.capacity(r.Capacity, maxMembers)
	m.object("attributes", r.Attributes, maxAttributes)
	m.schedule(r.EndsAt, r.RemindBefore, now)
	if len(r.RemindBefore) > 0 && r.EndsAt == nil {
		m.add("remindBefore", "needs endsAt")
	}
	return m.err()
}

// UpdateRequest is a JSON merge patch (RFC 7396) of a group: nil fields stay.
type UpdateRequest struct {
	Name        *string         `json:"name,omitempty" doc:"1 to 200 characters"`
	Description *string         `json:"description,omitempty" doc:"at most 4000 characters; null empties it"`
	Visibility  *Visibility     `json:"visibility,omitempty" enum:"private,public"`
	JoinPolicy  *JoinPolicy     `json:"joinPolicy,omitempty" enum:"open,request,invite"`
	Capacity    *int            `json:"capacity,omitempty" doc:"not below the members there are; null removes it"`
	Attributes  json.RawMessage `json:"attributes,omitempty" doc:"a merge patch of the attributes; null empties them"`

	EndsAt       *time.Time `json:"endsAt,omitempty" doc:"null: the group does not end"`
	RemindBefore *[]int     `json:"remindBefore,omitempty" doc:"at most 10 numbers of seconds before endsAt; null: none"`

	RemoveCapacity bool `json:"-"` // capacity was null
	RemoveEnd      bool `json:"-"` // endsAt was null

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *UpdateRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *UpdateRequest) read(b *body) {
	for _, name := range []string{"name", "visibility", "joinPolicy"} {
		if rawjson.IsNull(b.fields[name]) {
			b.refuse("cannot be removed", name)
		}
	}
	if rawjson.IsNull(b.fields["description"]) {
		b.fields["description"] = json.RawMessage(`""`)
	}
	r.RemoveCapacity = rawjson.IsNull(b.fields["capacity"])
	b.take("name", &r.Name, "a string")
	b.take("description", &r.Description, "a string or null")
	b.take("visibility", &r.Visibility, "a string")
	b.take("joinPolicy", &r.JoinPolicy, "a string")
	b.take("capacity", &r.Capacity, "a whole number or null")
	r.Attributes, _ = b.raw("attributes")
	r.RemoveEnd = rawjson.IsNull(b.fields["endsAt"])
	if rawjson.IsNull(b.fields["remindBefore"]) {
		b.fields["remindBefore"] = json.RawMessage("[]")
	}
	b.take("endsAt", &r.EndsAt, "a time like 2026-01-02T15:04:05Z, or null")
	b.takeList("remindBefore", &r.RemindBefore, maxReminders, "a list of seconds or null")
}

// Validate reports all mistakes at once, as validation_failed. What depends on
// the group is checked when the patch is applied.
func (r UpdateRequest) Validate(maxMembers int, now time.Time) error {
	m := slices.Clip(r.mistakes)
	if r.Name != nil {
		m.text("name", *r.Name, 1, maxName, "")
	}
	if r.Description != nil {
		m.text("description", *r.Description, 0, maxDescription, "\n\r\t")
	}
	if r.Visibility != nil {
		oneOf(&m, "visibility", *r.Visibility, Private, Public)
	}
	if r.JoinPolicy != nil {
		oneOf(&m, "joinPolicy", *r.JoinPolicy, JoinOpen, JoinRequest, JoinInvite)
	}
	m.capacity(r.Capacity, maxMembers)
	m.objectPatch("attributes", r.Attributes, maxAttributes)
	var reminders []int
	if r.RemindBefore != nil {
		reminders = *r.RemindBefore
	}
	m.schedule(r.EndsAt, reminders, now)
	return m.err()
}

// AddMembersRequest names users to make members of a group.
type AddMembersRequest struct {
	UserIDs []string `json:"userIds" doc:"1 to 500 user ids; who is in already is skipped"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *AddMembersRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *AddMembersRequest) read(b *body) {
	b.takeList("userIds", &r.UserIDs, maxAddedMembers, "a list of strings")
}

// Validate reports all mistakes at once, as validation_failed.
func (r AddMembersRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	m.userIDs("userIds", r.UserIDs, 1, maxAddedMembers)
	return m.err()
}

// UpdateMemberRequest is a JSON merge patch of a member: nil fields stay.
type UpdateMemberRequest struct {
	Role       *Role           `json:"role,omitempty" enum:"admin,member" doc:"only the owner changes roles"`
	Attributes json.RawMessage `json:"attributes,omitempty" doc:"a merge patch of the attributes; null empties them"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *UpdateMemberRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *UpdateMemberRequest) read(b *body) {
	if rawjson.IsNull(b.fields["role"]) {
		b.refuse("cannot be removed", "role")
	}
	b.take("role", &r.Role, "a string")
	r.Attributes, _ = b.raw("attributes")
}

// Validate reports all mistakes at once, as validation_failed.
func (r UpdateMemberRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	if r.Role != nil {
		oneOf(&m, "role", *r.Role, Admin, MemberRole)
	}
	m.objectPatch("attributes", r.Attributes, maxMemberAttributes)
	return m.err()
}

// MessageRequest posts a message.
type MessageRequest struct {
	Type string          `json:"type,omitempty" doc:"at most 64 characters; message unless given"`
	Data json.RawMessage `json:"data" doc:"any JSON value of at most 32 KiB"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *MessageRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *MessageRequest) read(b *body) {
	b.take("type", &r.Type, "a string")
	r.Data, _ = b.raw("data")
}

// withDefaults returns a copy in the form that is stored.
func (r MessageRequest) withDefaults() MessageRequest {
	orDefault(&r.Type, defaultMessageType)
	r.Data = tidy(r.Data)
	return r
}

// Validate reports all mistakes at once, as validation_failed.
func (r MessageRequest) Validate() error {
	r = r.withDefaults()
	m := slices.Clip(r.mistakes)
	m.text("type", r.Type, 1, maxType, "")
	m.data("data", r.Data, true)
	return m.err()
}

// SignalRequest sends a signal.
type SignalRequest struct {
	Type string          `json:"type" doc:"1 to 64 characters"`
	Data json.RawMessage `json:"data,omitempty" doc:"any JSON value of at most 32 KiB; null unless given"`
	To   []string        `json:"to,omitempty" doc:"at most 100 user ids; everyone unless given, nobody when empty"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *SignalRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *SignalRequest) read(b *body) {
	b.take("type", &r.Type, "a string")
	r.Data, _ = b.raw("data")
	b.takeList("to", &r.To, maxSignalTargets, "a list of strings")
}

// Validate reports all mistakes at once, as validation_failed.
func (r SignalRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	m.text("type", r.Type, 1, maxType, "")
	m.data("data", tidy(r.Data), false)
	m.userIDs("to", r.To, 0, maxSignalTargets)
	return m.err()
}

// ValidGroupID reports whether id can be a group's: a UUID as Moim writes them.
func ValidGroupID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}
