// Package schemas builds JSON schemas of Go types for the documents that describe the API.
// It knows huma's registry, but no document.
package schemas

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Prefix is the prefix of a reference to a schema in a document.
const Prefix = "#/components/schemas/"

var rawMessage = reflect.TypeFor[json.RawMessage]()

// Refine corrects the schemas of a registry by what the fields of their Go types say:
//
//   - An array is null only if the field says so (nullable:"true"). Go's nil slices are
//     never sent.
//   - A json.RawMessage with format:"object" is an object with any fields.
//   - An object behind a pointer is null, unless omitempty leaves it out.
//   - The fields of a field with json:",inline" are those of the object itself.
//
// Call it after each registration of types, before anything reads the schemas. Calling it
// twice changes nothing.
func Refine(registry huma.Registry) {
	for name, schema := range registry.Map() {
		if t := registry.TypeFromRef(Prefix + name); t != nil && t.Kind() == reflect.Struct {
			refine(registry, schema, t)
		}
	}
}

func refine(registry huma.Registry, schema *huma.Schema, t reflect.Type) {
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if options == "inline" {
			inline(registry, schema, field.Name)
			continue
		}
		property := schema.Properties[name]
		switch {
		case property == nil:
		case field.Type == rawMessage && field.Tag.Get("format") == "object":
			property.Type, property.Format, property.AdditionalProperties = huma.TypeObject, "", true
		case property.Ref != "" && field.Type.Kind() == reflect.Pointer && !strings.Contains(options, "omitempty"):
			schema.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: property.Ref}, {Type: "null"}}, Description: property.Description}
		case field.Type.Kind() == reflect.Slice && field.Tag.Get("nullable") != "true":
			property.Nullable = false
		}
	}
}

// inline moves the fields of a property into the surrounding object.
func inline(registry huma.Registry, schema *huma.Schema, name string) {
	body := schema.Properties[name]
	if body == nil {
		return
	}
	delete(schema.Properties, name)
	if body = registry.SchemaFromRef(body.Ref); body == nil {
		return
	}
	for field, property := range body.Properties {
		schema.Properties[field] = property
	}
	others := slices.DeleteFunc(slices.Clone(schema.Required), func(field string) bool { return field == name })
	schema.Required = slices.Concat(others, body.Required)
}
