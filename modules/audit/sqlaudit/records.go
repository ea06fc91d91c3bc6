package sqlaudit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/moim-live/moim/modules/audit"
)

var (
	// userFields are the fields of records that hold user ids. Other fields are not
	// compared, because an id may be equal to any text, such as a role.
	userFields = []string{"userId", "actor", "ownerId", "invitedBy", "createdBy", "editedBy"}
	// actingFields are the fields whose user the record belongs to, or who wrote its
	// content.
	actingFields = []string{"userId", "actor", "editedBy"}
	// personalFields are the fields of such records with personal data other than ids.
	personalFields = []string{"name", "profile", "attributes", "data", "reason"}
)

// others returns the users in the records of an entry, other than its actor and its user.
func others(e audit.Entry) ([]string, error) {
	found := make(map[string]bool)
	for _, raw := range []json.RawMessage{e.Before, e.After} {
		records, err := decode(raw)
		if err != nil {
			return nil, fmt.Errorf("decode entry %s: %w", e.ID, err)
		}
		each(records, func(_ string, record map[string]any) {
			for _, field := range userFields {
				if id, _ := record[field].(string); id != "" && id != e.Actor && id != e.UserID {
					found[id] = true
				}
			}
		})
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// decode decodes the before or after of an entry.
func decode(raw json.RawMessage) (records map[string]any, err error) {
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber()
	err = in.Decode(&records)
	return records, err
}

// each calls fn with each record. A kind has one record, or a list of them.
func each(records map[string]any, fn func(kind string, record map[string]any)) {
	for kind, of := range records {
		switch of := of.(type) {
		case map[string]any:
			fn(kind, of)
		case []any:
			for _, one := range of {
				if record, is := one.(map[string]any); is {
					fn(kind, record)
				}
			}
		}
	}
}
