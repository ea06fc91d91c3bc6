package dto

import (
	"encoding/json"
	"time"
)

var (
	visibilities = []string{"private", "public"}
	joinPolicies = []string{"open", "request", "invite"}
	postings     = []string{"members", "admins"}
)

// CreateRequest asks for a new group.
type CreateRequest struct {
	Name         string          `json:"name" example:"Sunday hike" doc:"1 to 200 characters, of which one can be seen; stored in composed form (NFC)"`
	Description  string          `json:"description,omitempty" doc:"at most 4000 characters"`
	Visibility   string          `json:"visibility,omitempty" enum:"private,public" example:"public" doc:"default: private"`
	JoinPolicy   string          `json:"joinPolicy,omitempty" enum:"open,request,invite" example:"open" doc:"default: invite"`
	Posting      string          `json:"posting,omitempty" enum:"members,admins" doc:"who may post messages and send signals; default: members"`
	ReadReceipts bool            `json:"readReceipts,omitempty" doc:"members see how far the others have read; default: false"`
	Capacity     *int            `json:"capacity,omitempty" nullable:"true" example:"10" doc:"maximum number of members, including the owner; null: only the server's limit applies"`
	Attributes   json.RawMessage `json:"attributes,omitempty" format:"object" nullable:"true" example:"{\"level\":3}" doc:"JSON object of at most 16 KiB"`

	OwnerID   string `json:"ownerId,omitempty" doc:"user id of the owner; for back ends only; default: the caller"`
	OwnerName string `json:"ownerName,omitempty" doc:"name of that owner, 1 to 256 bytes; needs ownerId"`

	EndsAt       *time.Time `json:"endsAt,omitempty" nullable:"true" doc:"time at which the group ends"`
	RemindBefore []int      `json:"remindBefore,omitempty" doc:"when to send reminders, in seconds before endsAt; at most 10"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *CreateRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *CreateRequest) read(o *object) {
	o.take("name", &r.Name, "a string")
	o.take("description", &r.Description, "a string")
	o.take("visibility", &r.Visibility, "a string")
	o.take("joinPolicy", &r.JoinPolicy, "a string")
	o.take("posting", &r.Posting, "a string")
	o.take("readReceipts", &r.ReadReceipts, "true or false")
	o.take("capacity", &r.Capacity, "a whole number or null")
	r.Attributes, _ = o.raw("attributes")
	o.take("ownerId", &r.OwnerID, "a string")
	o.take("ownerName", &r.OwnerName, "a string")
	o.take("endsAt", &r.EndsAt, aTime)
	o.takeList("remindBefore", &r.RemindBefore, maxReminders, "a list of seconds")
}

// Validate returns the request with its defaults, as the store keeps it, or
// validation_failed with all mistakes. maxMembers limits the capacity; endsAt must be after
// now.
func (r CreateRequest) Validate(maxMembers int, now time.Time) (CreateRequest, error) {
	if r.Visibility == "" {
		r.Visibility = "private"
	}
	if r.JoinPolicy == "" {
		r.JoinPolicy = "invite"
	}
	if r.Posting == "" {
		r.Posting = "members"
	}
	r.Attributes = objectOr(r.compact(r.Attributes))
	r.EndsAt, r.RemindBefore = storedTime(r.EndsAt), storedReminders(r.RemindBefore)
	m := r.begin()
	r.Name, r.Description = m.groupName(r.Name), m.description(r.Description)
	m.oneOf("visibility", r.Visibility, visibilities...)
	m.oneOf("joinPolicy", r.JoinPolicy, joinPolicies...)
	m.oneOf("posting", r.Posting, postings...)
	m.capacity(r.Capacity, maxMembers)
	m.object("attributes", r.Attributes, r.reading, maxAttributes)
	if r.OwnerID != "" {
		m.userID("ownerId", r.OwnerID)
	}
	if r.OwnerName != "" {
		r.OwnerName = m.userName("ownerName", r.OwnerName)
		if r.OwnerID == "" {
			m.add("ownerName", "needs ownerId")
		}
	}
	m.schedule(r.EndsAt, r.RemindBefore, now)
	if len(r.RemindBefore) > 0 && r.EndsAt == nil {
		m.add("remindBefore", "needs endsAt")
	}
	return r, m.err()
}

// UpdateRequest is a JSON merge patch (RFC 7396) of a group. nil fields stay unchanged.
type UpdateRequest struct {
	Name         *string         `json:"name,omitempty" doc:"1 to 200 characters, of which one can be seen; stored in composed form (NFC)"`
	Description  *string         `json:"description,omitempty" nullable:"true" example:"We meet at the north gate" doc:"at most 4000 characters; null clears it"`
	Visibility   *string         `json:"visibility,omitempty" enum:"private,public"`
	JoinPolicy   *string         `json:"joinPolicy,omitempty" enum:"open,request,invite"`
	Posting      *string         `json:"posting,omitempty" enum:"members,admins" doc:"who may post messages and send signals"`
	ReadReceipts *bool           `json:"readReceipts,omitempty" doc:"members see how far the others have read"`
	Capacity     *int            `json:"capacity,omitempty" nullable:"true" doc:"maximum number of members, not below the current number; null: only the server's limit applies"`
	Attributes   json.RawMessage `json:"attributes,omitempty" format:"object" nullable:"true" doc:"merge patch of the attributes; null removes all of them"`

	EndsAt       *time.Time `json:"endsAt,omitempty" nullable:"true" doc:"time at which the group ends; null: the group does not end"`
	RemindBefore *[]int     `json:"remindBefore,omitempty" nullable:"true" doc:"when to send reminders, in seconds before endsAt; at most 10; null: none"`

	RemoveCapacity bool `json:"-"` // capacity is null
	RemoveEnd      bool `json:"-"` // endsAt is null

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *UpdateRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *UpdateRequest) read(o *object) {
	for _, name := range []string{"name", "visibility", "joinPolicy", "posting", "readReceipts"} {
		if o.isNull(name) {
			o.refuse(name, "cannot be removed")
		}
	}
	if o.isNull("description") {
		o.fields["description"] = json.RawMessage(`""`)
	}
	if o.isNull("remindBefore") {
		o.fields["remindBefore"] = json.RawMessage("[]")
	}
	r.RemoveCapacity, r.RemoveEnd = o.isNull("capacity"), o.isNull("endsAt")
	o.take("name", &r.Name, "a string")
	o.take("description", &r.Description, "a string or null")
	o.take("visibility", &r.Visibility, "a string")
	o.take("joinPolicy", &r.JoinPolicy, "a string")
	o.take("posting", &r.Posting, "a string")
	o.take("readReceipts", &r.ReadReceipts, "true or false")
	o.take("capacity", &r.Capacity, "a whole number or null")
	r.Attributes, _ = o.raw("attributes")
	o.take("endsAt", &r.EndsAt, aTimeOrNull)
	o.takeList("remindBefore", &r.RemindBefore, maxReminders, "a list of seconds or null")
}

// Validate returns the request as the store keeps it, or validation_failed with all
// mistakes. The caller that applies the request checks the conditions that depend on the
// group.
func (r UpdateRequest) Validate(maxMembers int, now time.Time) (UpdateRequest, error) {
	r.Attributes = r.compact(r.Attributes)
	r.EndsAt = storedTime(r.EndsAt)
	m := r.begin()
	if r.Name != nil {
		name := m.groupName(*r.Name)
		r.Name = &name
	}
	if r.Description != nil {
		description := m.description(*r.Description)
		r.Description = &description
	}
	if r.Visibility != nil {
		m.oneOf("visibility", *r.Visibility, visibilities...)
	}
	if r.JoinPolicy != nil {
		m.oneOf("joinPolicy", *r.JoinPolicy, joinPolicies...)
	}
	if r.Posting != nil {
		m.oneOf("posting", *r.Posting, postings...)
	}
	m.capacity(r.Capacity, maxMembers)
	m.patch("attributes", r.Attributes, r.reading, maxAttributes)
	var reminders []int
	if r.RemindBefore != nil {
		reminders = storedReminders(*r.RemindBefore)
		r.RemindBefore = &reminders
	}
	m.schedule(r.EndsAt, reminders, now)
	return r, m.err()
}

// Patch returns the patch of the attributes. Validate the request first.
func (r UpdateRequest) Patch() Patch { return newPatch("attributes", r.Attributes, maxAttributes) }

// TransferRequest has the member who should become the owner.
type TransferRequest struct {
	UserID string `json:"userId" example:"bob" doc:"user id of the new owner, who must be a member"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *TransferRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *TransferRequest) read(o *object) { o.take("userId", &r.UserID, "a string") }

// Validate returns validation_failed with all mistakes, or nil.
func (r TransferRequest) Validate() error {
	m := r.begin()
	m.userID("userId", r.UserID)
	return m.err()
}
