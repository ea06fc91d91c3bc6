package dto

import (
	"maps"
	"slices"

	"github.com/moim-live/moim/modules/fault"
)

// Field is where a field of a request goes, and what completes "must be" if it is of
// another type.
type Field struct {
	To   any
	Want string
}

// Fields reads a JSON object into fields by their exact names, for the requests of other
// packages. It returns what is wrong with it. A field that is not listed is a mistake.
func Fields(data []byte, fields map[string]Field) []fault.Field {
	o := openObject(data)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		o.take(name, fields[name].To, fields[name].Want)
	}
	return o.close()
}
