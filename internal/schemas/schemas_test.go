package schemas_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/schemas"
)

type place struct {
	City string `json:"city"`
}

type common struct {
	ID int `json:"id"`
}

type trip struct {
	Inlined common          `json:",inline"`
	Extra   json.RawMessage `json:"extra" format:"object"`
	Stops   []string        `json:"stops"`
	Guides  []string        `json:"guides" nullable:"true"`
	From    *place          `json:"from"`
	Via     *place          `json:"via,omitempty"`
}

type booking struct {
	Place place `json:"place"`
}

// plain returns a schema in the form that it has in a document.
func plain(t *testing.T, schema any) map[string]any {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	registry := huma.NewMapRegistry(schemas.Prefix, huma.DefaultSchemaNamer)
	registry.Schema(reflect.TypeFor[trip](), true, "")
	request := registry.Schema(reflect.TypeFor[booking](), true, "")
	for range 2 { // the second call must change nothing
		schemas.Refine(registry)
		schemas.Open(registry, []*huma.Schema{request}, nil)
	}

	reference := map[string]any{"$ref": schemas.Prefix + "Place"}
	text := map[string]any{"type": "string"}
	want := map[string]map[string]any{
		"Trip": {
			"type":     "object",
			"required": []any{"extra", "stops", "guides", "from", "id"},
			"properties": map[string]any{
				"id":     map[string]any{"type": "integer", "format": "int64"},
				"extra":  map[string]any{"type": "object", "additionalProperties": true},
				"stops":  map[string]any{"type": "array", "items": text},
				"guides": map[string]any{"type": []any{"array", "null"}, "items": text},
				"from":   map[string]any{"anyOf": []any{reference, map[string]any{"type": "null"}}},
				"via":    reference,
			},
		},
		// This schema is part of a request, so it refuses unknown fields.
		"Place": {
			"type": "object", "additionalProperties": false,
			"required": []any{"city"}, "properties": map[string]any{"city": text},
		},
		"Booking": {
			"type": "object", "additionalProperties": false,
			"required": []any{"place"}, "properties": map[string]any{"place": reference},
		},
	}
	for name, schema := range want {
		got := plain(t, registry.Map()[name])
		if diff := cmp.Diff(schema, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
