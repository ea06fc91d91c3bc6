package schemas

import "github.com/danielgtaylor/huma/v2"

// Open lets objects have fields that their schemas do not name, except for those of requests:
// servers refuse what they do not know there, while clients must accept that later versions
// add fields. A type that is part of requests and of answers stays closed.
//
// Call it after [Refine]. Calling it twice changes nothing.
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

// visit passes a schema and those that it refers to, unless they were seen, to fn.
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
