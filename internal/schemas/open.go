package schemas

import "github.com/danielgtaylor/huma/v2"

// Open allows objects to have fields that are not in their schemas, except for objects in
// requests. Servers refuse unknown fields there, but clients must accept new fields of
// later versions in answers. A type that is used in both requests and answers stays closed.
//
// Call Open after [Refine]. Calling it twice changes nothing.
func Open(registry huma.Registry, requests, others []*huma.Schema) {
	closed := make(map[*huma.Schema]bool)
	for _, s := range requests {
		visit(registry, s, closed, func(*huma.Schema) {})
	}
	open := func(s *huma.Schema) {
		if s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
	}
	for _, s := range registry.Map() {
		visit(registry, s, closed, open)
	}
	for _, s := range others {
		visit(registry, s, closed, open)
	}
}

// visit calls fn for a schema and those that it refers to, except those that were seen.
func visit(registry huma.Registry, s *huma.Schema, seen map[*huma.Schema]bool, fn func(*huma.Schema)) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	fn(s)
	if s.Ref != "" {
		visit(registry, registry.SchemaFromRef(s.Ref), seen, fn)
	}
	further := []*huma.Schema{s.Items, s.Not}
	if values, is := s.AdditionalProperties.(*huma.Schema); is {
		further = append(further, values)
	}
	for _, list := range [][]*huma.Schema{s.OneOf, s.AnyOf, s.AllOf} {
		further = append(further, list...)
	}
	for _, property := range s.Properties {
		further = append(further, property)
	}
	for _, other := range further {
		visit(registry, other, seen, fn)
	}
}
