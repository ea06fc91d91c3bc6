package dto

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/moim-live/moim/internal/names"
)

// IntroduceRequest is a JSON merge patch of a member's own name and profile. nil fields
// stay unchanged.
type IntroduceRequest struct {
	Name    *string         `json:"name,omitempty" example:"Bob" doc:"1 to 256 bytes; control characters and outer spaces are removed"`
	Profile json.RawMessage `json:"profile,omitempty" format:"object" nullable:"true" example:"{\"pronouns\":\"they\"}" doc:"merge patch of the profile, a JSON object of at most 2 KiB; null empties it"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *IntroduceRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *IntroduceRequest) read(o *object) {
	if o.isNull("name") {
		o.refuse("name", "cannot be removed")
	}
	o.take("name", &r.Name, "a string")
	r.Profile, _ = o.raw("profile")
}

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r IntroduceRequest) Validate() (IntroduceRequest, error) {
	r.Profile = r.compact(r.Profile)
	m := r.begin()
	if r.Name != nil {
		name := m.userName("name", *r.Name)
		r.Name = &name
	}
	m.patch("profile", r.Profile, r.reading, maxProfile)
	return r, m.err()
}

// Patch returns the patch of the profile. Validate the request first.
func (r IntroduceRequest) Patch() Patch { return newPatch("profile", r.Profile, maxProfile) }

// userName returns a user's name, cleaned like the name in a token.
func (m *mistakes) userName(field, name string) string {
	clean := names.Clean(name)
	switch {
	case !utf8.ValidString(name):
		m.add(field, "must be valid UTF-8")
	case clean == "" || len(clean) > maxUserName:
		m.add(field, "must have a visible character and at most %d bytes", maxUserName)
	}
	return clean
}

// RenameRequest gives a user another name.
type RenameRequest struct {
	Name string `json:"name" example:"Bob" doc:"1 to 256 bytes; control characters and outer spaces are removed"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *RenameRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *RenameRequest) read(o *object) { o.take("name", &r.Name, "a string") }

// Validate returns the request with a clean name, or validation_failed with all mistakes.
func (r RenameRequest) Validate() (RenameRequest, error) {
	m := r.begin()
	r.Name = m.userName("name", r.Name)
	return r, m.err()
}
