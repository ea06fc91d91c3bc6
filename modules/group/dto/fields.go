package dto

import (
	"maps"
	"slices"

	"github.com/moim-live/moim/modules/fault"
)

// Field is the destination of a request's field, and the end of the message "must be …" for
// a value of another type.
type Field struct {
	To   any
	Want string
}

// Fields reads a JSON object into fields by their exact names, for the requests of other
// packages. It returns the mistakes. A field that is not listed is a mistake.
func Fields(data []byte, fields map[string]Field) []fault.Field {
	o := openObject(data)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		o.take(name, fields[name].To, fields[name].Want)
	}
	return o.close()
}
