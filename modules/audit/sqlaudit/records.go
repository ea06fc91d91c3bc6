package sqlaudit

import (
	"bytes"
	"encoding/json"
)

var (
	// userFields are the fields of records that hold the id of a user. No other field is
	// compared: an id may be equal to any text, such as a role.
	userFields = []string{"userId", "actor", "ownerId", "invitedBy", "createdBy", "editedBy"}
	// actingFields are those whose user the record is of, or who wrote what it says.
	actingFields = []string{"userId", "actor", "editedBy"}
	// personalFields are the fields in which such a record says more than ids.
	personalFields = []string{"name", "profile", "attributes", "data", "reason"}
)

// decode decodes what an entry has of before or after its change.
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
