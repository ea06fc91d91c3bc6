package dto

import "time"

// RevokeRequest says which tokens of a user are revoked. The zero value means all tokens
// that were issued before now.
type RevokeRequest struct {
	Before *time.Time `json:"before,omitempty" nullable:"true" doc:"RFC 3339, not in the future: tokens with an earlier iat, or without one, are refused; default: now"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Instant reports the
// mistakes.
func (r *RevokeRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *RevokeRequest) read(o *object) {
	o.take("before", &r.Before, "a time in RFC 3339 or null")
}

// Instant returns the time before which issued tokens are revoked, or validation_failed
// with all mistakes.
func (r RevokeRequest) Instant(userID string, now time.Time) (time.Time, error) {
	m := r.begin()
	m.userID("userId", userID)
	before := now
	if r.Before != nil {
		before = *r.Before
	}
	if before.After(now) || before.Year() < 1970 {
		m.add("before", "must be between 1970 and now")
	}
	return before, m.err()
}

// AuthRequest is a socket's request with a new token.
type AuthRequest struct {
	Token string `json:"token" doc:"new token of the same user"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Check reports the
// mistakes.
func (r *AuthRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *AuthRequest) read(o *object) {
	o.take("token", &r.Token, "a string")
}

// Check returns validation_failed with all mistakes, or nil.
func (r AuthRequest) Check() error {
	m := r.begin()
	if r.Token == "" {
		m.add("token", "is required")
	}
	return m.err()
}
