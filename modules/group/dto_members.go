package group

import (
	"slices"
	"time"
)

// TransferRequest names the member who is to own a group.
type TransferRequest struct {
	UserID string `json:"userId" doc:"a member's user id"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *TransferRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *TransferRequest) read(b *body) { b.take("userId", &r.UserID, "a string") }

// Validate reports all mistakes at once, as validation_failed.
func (r TransferRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	m.userID("userId", r.UserID)
	return m.err()
}

// BanRequest says why a user is banned, and until when. The zero value is one
// that says neither.
type BanRequest struct {
	Reason    string     `json:"reason,omitempty" doc:"at most 500 characters; the members see it"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"RFC 3339, in the future; never unless given"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *BanRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *BanRequest) read(b *body) {
	b.take("reason", &r.Reason, "a string")
	b.take("expiresAt", &r.ExpiresAt, "a time in RFC 3339 or null")
}

// Validate reports all mistakes at once, as validation_failed.
func (r BanRequest) Validate(userID string, now time.Time) error {
	m := slices.Clip(r.mistakes)
	m.userID("userId", userID)
	m.text("reason", r.Reason, 0, maxReason, "\n\r\t")
	m.future("expiresAt", r.expires(), now)
	return m.err()
}

func (r BanRequest) expires() *time.Time { return storedTime(r.ExpiresAt) }

// matches reports whether the request asks for the ban that there is.
func (r BanRequest) matches(b Ban) bool {
	at := r.expires()
	same := at == nil && b.ExpiresAt == nil || at != nil && b.ExpiresAt != nil && at.Equal(*b.ExpiresAt)
	return same && r.Reason == b.Reason
}

// future checks an instant that may be left out. Years have four digits, as
// RFC 3339 writes them.
func (m *mistakes) future(field string, at *time.Time, now time.Time) {
	if at != nil && (!at.After(now) || at.UTC().Year() > 9999) {
		m.add(field, "must be in the future")
	}
}

// storedTime returns an instant as the store keeps it.
func storedTime(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC().Truncate(time.Microsecond)
	return &at
}

// InviteRequest asks for an invite. The zero value is one without bounds.
type InviteRequest struct {
	MaxUses   *int       `json:"maxUses,omitempty" doc:"how many may accept it; any number unless given"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"RFC 3339, in the future; never unless given"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *InviteRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *InviteRequest) read(b *body) {
	b.take("maxUses", &r.MaxUses, "a whole number or null")
	b.take("expiresAt", &r.ExpiresAt, "a time in RFC 3339 or null")
}

// Validate reports all mistakes at once, as validation_failed.
func (r InviteRequest) Validate(now time.Time) error {
	m := slices.Clip(r.mistakes)
	if r.MaxUses != nil && (*r.MaxUses < 1 || *r.MaxUses > maxInviteUses) {
		m.add("maxUses", "must be between 1 and %d", maxInviteUses)
	}
	m.future("expiresAt", storedTime(r.ExpiresAt), now)
	return m.err()
}
