package dto

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/moim-live/moim/internal/names"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Limits of requests. Lengths of names and types are in characters (Unicode code points),
// those of ids in bytes, and those of attributes and data in bytes of their JSON without
// insignificant space.
const (
	maxName             = 200
	maxDescription      = 4000
	maxAttributes       = 16 << 10
	maxMemberAttributes = 4 << 10
	maxProfile          = 2 << 10
	maxUserName         = 256 // bytes, as in a token
	maxState            = 4 << 10
	maxData             = 32 << 10
	maxPatch            = 4  // times the bytes of the object that it patches
	maxDepth            = 64 // levels of arrays and objects in attributes and data
	maxType             = 64
	maxUserID           = 128
	maxKey              = 255
	maxAddedMembers     = 500
	maxSignalTargets    = 100
	maxQuery            = 200
	maxReason           = 500
	maxInviteUses       = 1_000_000
	maxReminders        = 10
	maxReminder         = 30 * 24 * 3600 // seconds before the end
	maxAhead            = 100 * 365 * 24 * time.Hour
)

const (
	tooLarge = "must be at most %d bytes of JSON"
	tooDeep  = "must be at most %d levels deep"
)

// mistakes lists the mistakes in a request, one for each field. It holds one more than an
// answer lists, so that the answer can say that there are more.
type mistakes []fault.Field

func (m *mistakes) add(field, format string, args ...any) {
	if len(*m) > fault.MaxFields || m.has(field) {
		return
	}
	*m = append(*m, fault.Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (m mistakes) has(field string) bool {
	return slices.ContainsFunc(m, func(f fault.Field) bool { return f.Field == field })
}

// err returns all mistakes as one validation_failed, or nil.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return fault.Validation(m...)
}

func (m *mistakes) text(field, value string, low, high int, allowed string) {
	n := utf8.RuneCountInString(value)
	switch {
	case !utf8.ValidString(value):
		m.add(field, "must be valid UTF-8")
	case n < low && low == 1:
		m.add(field, "is required")
	case n < low || n > high:
		m.add(field, "must have %d to %d characters", low, high)
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(allowed, r) }):
		m.add(field, "must not contain control characters")
	}
}

// groupName checks a group's name and returns it as it is stored: in Unicode's composed
// form (NFC), in which its length is counted.
func (m *mistakes) groupName(name string) string {
	stored := norm.NFC.String(name)
	m.text("name", stored, 1, maxName, "")
	switch {
	case m.has("name"):
	case !names.Visible(stored):
		m.add("name", "must have a visible character")
	case names.Reorders(stored):
		m.add("name", "must not contain characters that reorder text (U+202A to U+202E, U+2066 to U+2069)")
	}
	return stored
}

// description checks a group's description and returns it as it is stored (NFC).
func (m *mistakes) description(text string) string {
	stored := norm.NFC.String(text)
	m.text("description", stored, 0, maxDescription, "\n\r\t")
	return stored
}

func (m *mistakes) oneOf(field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		m.add(field, "must be one of: %s", strings.Join(choices, ", "))
	}
}

func (m *mistakes) capacity(capacity *int, limit int) {
	if capacity != nil && (*capacity < 1 || *capacity > limit) {
		m.add("capacity", "must be between 1 and %d", limit)
	}
}

func (m *mistakes) userID(field, id string) {
	if !ValidUserID(id) {
		m.add(field, "must be a user id of 1 to %d bytes that can be read, without control characters, and not . or ..", maxUserID)
	}
}

func (m *mistakes) userIDs(field string, ids []string, low, high int) {
	if len(ids) < low || len(ids) > high {
		m.add(field, "must have %d to %d entries", low, high)
		return
	}
	for i, id := range ids {
		m.userID(fmt.Sprintf("%s[%d]", field, i), id)
	}
}

// schedule checks a group's end and its reminders.
func (m *mistakes) schedule(endsAt *time.Time, reminders []int, now time.Time) {
	if endsAt != nil && (!endsAt.After(now) || endsAt.After(now.Add(maxAhead))) {
		m.add("endsAt", "must lie in the future, at most a hundred years")
	}
	if len(reminders) > maxReminders {
		m.add("remindBefore", "must have at most %d entries", maxReminders)
	}
	for _, seconds := range reminders {
		if seconds < 1 || seconds > maxReminder {
			m.add("remindBefore", "must be between 1 and %d seconds", maxReminder)
		}
	}
}

// future checks an optional time. RFC 3339 has years of four digits.
func (m *mistakes) future(field string, at *time.Time, now time.Time) {
	if at != nil && (!at.After(now) || at.UTC().Year() > 9999) {
		m.add(field, "must be in the future")
	}
}

func (m *mistakes) object(field string, raw json.RawMessage, r reading, limit int) {
	switch {
	case !isObject(raw) || !r.valid(raw):
		m.add(field, "must be an object")
	case len(raw) > limit:
		m.add(field, tooLarge, limit)
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

// patch checks a merge patch of an object of at most limit bytes. The patch itself may be
// larger, because it also names the fields to remove. [Patch.Apply] checks the size of the
// result.
func (m *mistakes) patch(field string, raw json.RawMessage, r reading, limit int) {
	switch {
	case raw == nil || rawjson.IsNull(raw):
	case !isObject(raw) || !r.valid(raw):
		m.add(field, "must be an object or null")
	case len(raw) > maxPatch*limit:
		m.add(field, tooLarge, maxPatch*limit)
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

// data checks the field data of a message or a signal.
func (m *mistakes) data(raw json.RawMessage, r reading, required bool) {
	const field = "data"
	switch {
	case raw == nil && required:
		m.add(field, "is required")
	case len(raw) > maxData:
		m.add(field, tooLarge, maxData)
	case raw != nil && !r.valid(raw):
		m.add(field, "must be JSON")
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

// ValidUserID reports whether id can be a user id: readable, usable in a path, and without
// characters that reorder text.
func ValidUserID(id string) bool {
	return validID(id, maxUserID) && names.Visible(id) && !names.Reorders(id) && !names.IsStep(id)
}

// ValidGroupID reports whether id can be a group id: a UUID in Moim's format.
func ValidGroupID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// CheckKey returns what is wrong with an idempotency key, or "".
func CheckKey(key string) string {
	if validID(key, maxKey) {
		return ""
	}
	return fmt.Sprintf("must have 1 to %d bytes without control characters", maxKey)
}

// CheckQuery returns validation_failed if q cannot be searched for.
func CheckQuery(q string) error {
	var m mistakes
	m.text("q", q, 0, maxQuery, "")
	return m.err()
}

// validID reports whether id, which a client has chosen, is valid.
func validID(id string, limit int) bool {
	return id != "" && len(id) <= limit && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

// storedTime returns a time with the precision of the store.
func storedTime(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC().Truncate(time.Microsecond)
	return &at
}

// storedReminders returns reminders as the store keeps them: sorted by time, without
// duplicates.
func storedReminders(seconds []int) []int {
	if len(seconds) == 0 {
		return nil
	}
	sorted := slices.Clone(seconds)
	slices.SortFunc(sorted, func(a, b int) int { return b - a })
	return slices.Compact(sorted)
}
