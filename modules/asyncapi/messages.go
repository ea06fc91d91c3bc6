package asyncapi

import (
	"maps"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/internal/schemas"
	"github.com/moim-live/moim/modules/socket"
)

// builder builds messages, and collects the schemas that they refer to.
type builder struct {
	registry huma.Registry
	requests []*huma.Schema
	data     map[string]map[string]any
	codes    []string
	failure  any // schema of a module's error
	foreign  any // schema of a program's error, which may have its own codes
}

func newBuilder(d Description) *builder {
	b := &builder{registry: huma.NewMapRegistry(schemas.Prefix, huma.DefaultSchemaNamer), data: d.Data, codes: d.Codes}
	b.failure = b.schema(reflect.TypeFor[socket.Failure]())
	b.foreign = structure([]string{"code", "message"}, object{"code": object{"type": "string"}, "message": object{"type": "string"}})
	return b
}

// schemas returns the schemas of all types. Do not build messages afterwards.
func (b *builder) schemas() map[string]*huma.Schema {
	schemas.Refine(b.registry)
	schemas.Open(b.registry, b.requests, nil)
	code := b.registry.Map()["Failure"].Properties["code"]
	for _, c := range b.codes {
		code.Enum = append(code.Enum, c)
	}
	return b.registry.Map()
}

// alternatives is a value that is encoded as one of several types.
type alternatives interface{ Alternatives() []any }

// schema returns the schema of a type.
func (b *builder) schema(t reflect.Type) any {
	if a, ok := reflect.Zero(t).Interface().(alternatives); ok {
		var each []any
		for _, v := range a.Alternatives() {
			each = append(each, b.schema(reflect.TypeOf(v)))
		}
		return object{"oneOf": each}
	}
	if s := b.registry.Schema(t, true, ""); s != nil {
		return s
	}
	return object{}
}

// request describes an event that a client sends.
func (b *builder) request(endpoint string, e socket.Event) object {
	data := b.schema(e.Data)
	if s, is := data.(*huma.Schema); is {
		b.requests = append(b.requests, s)
	}
	if endpoint == socketIO {
		return message(e.Name, e.About, data)
	}
	frame := structure([]string{"event"}, object{
		"id":    object{"type": "integer", "minimum": 0, "description": "chosen by the client; without it, there is no answer"},
		"event": object{"const": e.Name},
		"data":  data,
	})
	frame["additionalProperties"] = false
	return message(e.Name, e.About, frame)
}

// answer describes the answer to a request: data or an error.
func (b *builder) answer(endpoint string, e socket.Event) object {
	failure := b.failure
	if e.Program {
		failure = b.foreign
	}
	outcome := func(name string, schema any) object {
		if endpoint == socketIO {
			return structure([]string{name}, object{name: schema})
		}
		return structure([]string{"id", name}, object{"id": object{"type": "integer", "minimum": 0}, name: schema})
	}
	return message(e.Name+" answer", "", object{"oneOf": []any{outcome("data", b.schema(e.Answer)), outcome("error", failure)}})
}

// push describes an event that the server sends on its own.
func (b *builder) push(endpoint string, e socket.Event) object {
	data := b.schema(e.Data)
	if types := b.data[e.Name]; types != nil {
		data = b.byType(data, types)
	}
	if endpoint == socketIO {
		return message(e.Name, e.About, data)
	}
	return message(e.Name, e.About, structure([]string{"event", "data"}, object{"event": object{"const": e.Name}, "data": data}))
}

// byType adds the schema of data for each value of type to a schema.
func (b *builder) byType(schema any, types map[string]any) object {
	all := []any{schema}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		data := b.schema(reflect.TypeOf(types[name]))
		if b.aboutUser(data) {
			data = object{"anyOf": []any{data, erased}}
		}
		all = append(all, object{
			"if":   object{"properties": object{"type": object{"const": name}}},
			"then": object{"properties": object{"data": data}},
		})
	}
	return object{"allOf": all}
}

// aboutUser reports whether data with this schema is about a single user.
func (b *builder) aboutUser(schema any) bool {
	s, is := schema.(*huma.Schema)
	if is && s.Ref != "" {
		s = b.registry.SchemaFromRef(s.Ref)
	}
	return is && s.Properties["userId"] != nil
}

// erased is the schema of what remains of data about an erased user.
var erased = structure([]string{"userId"}, object{"userId": object{"type": "null"}, "erased": object{"type": "boolean"}})

func message(name, about string, payload any) object {
	m := object{"name": name, "title": name, "payload": payload}
	if about != "" {
		m["summary"] = about
	}
	return m
}

// structure returns the schema of an object that may have other fields.
func structure(required []string, properties object) object {
	return object{"type": "object", "required": required, "properties": properties}
}
