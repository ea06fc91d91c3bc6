package dto

import (
	"encoding/json"
	"unicode/utf8"
)

// GroupAttributes returns a patch with the attributes that an application's back end gives
// a new group, or validation_failed. null removes an attribute that the user has sent.
func GroupAttributes(raw json.RawMessage) (Patch, error) { return given(raw, maxAttributes) }

// MemberAttributes returns a patch with the attributes that an application's back end gives
// a new member, or validation_failed.
func MemberAttributes(raw json.RawMessage) (Patch, error) { return given(raw, maxMemberAttributes) }

func given(raw json.RawMessage, limit int) (Patch, error) {
	const field = "attributes"
	var r reading
	raw = r.compact(raw)
	m := r.begin()
	if m.object(field, raw, r, limit); !utf8.Valid(raw) {
		m.add(field, "must be valid UTF-8")
	}
	if err := m.err(); err != nil {
		return Patch{}, err
	}
	return newPatch(field, raw, limit), nil
}
