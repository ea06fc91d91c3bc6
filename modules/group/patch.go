package group

import (
	"encoding/json"

	"github.com/moim-live/moim/modules/fault"
)

// apply returns g with the request applied, and the changed fields with their
// new values: the data of group.updated. patch is the parsed r.Attributes.
func (r UpdateRequest) apply(g Group, patch mergePatch) (Group, map[string]any, error) {
	changes := make(map[string]any)
	replace(changes, "name", &g.Name, r.Name)
	replace(changes, "description", &g.Description, r.Description)
	replace(changes, "visibility", &g.Visibility, r.Visibility)
	replace(changes, "joinPolicy", &g.JoinPolicy, r.JoinPolicy)
	switch {
	case r.RemoveCapacity && g.Capacity != nil:
		g.Capacity = nil
		changes["capacity"] = nil
	case r.Capacity != nil && (g.Capacity == nil || *g.Capacity != *r.Capacity):
		if *r.Capacity < g.MemberCount {
			return g, nil, ErrGroupFull.WithMessage("the group has more members than that")
		}
		capacity := *r.Capacity
		g.Capacity = &capacity
		changes["capacity"] = capacity
	}
	attributes, changed, err := patchAttributes(g.Attributes, patch, maxAttributes)
	if err != nil {
		return g, nil, err
	}
	if changed {
		g.Attributes = attributes
		changes["attributes"] = attributes
	}
	r.reschedule(&g, changes)
	return g, changes, nil
}

// apply returns m with the request applied, and whether that changed anything.
// patch is the parsed r.Attributes.
func (r UpdateMemberRequest) apply(m Member, patch mergePatch) (Member, bool, error) {
	changes := make(map[string]any)
	replace(changes, "role", &m.Role, r.Role)
	attributes, changed, err := patchAttributes(m.Attributes, patch, maxMemberAttributes)
	if err != nil {
		return m, false, err
	}
	m.Attributes = attributes
	return m, changed || len(changes) > 0, nil
}

func replace[T comparable](changes map[string]any, name string, old, replacement *T) {
	if replacement != nil && *replacement != *old {
		*old = *replacement
		changes[name] = *replacement
	}
}

// patchAttributes applies a patch to attributes and reports whether they are
// others now. A patch that is null empties them.
func patchAttributes(attributes json.RawMessage, patch mergePatch, limit int) (json.RawMessage, bool, error) {
	if !patch.given {
		return attributes, false, nil
	}
	merged := json.RawMessage("{}")
	if !patch.root.IsNull() {
		merged = patch.apply(attributes)
	}
	if len(merged) > limit {
		var m mistakes
		m.add("attributes", tooLarge, limit)
		return nil, false, m.err()
	}
	if sameJSON(attributes, merged) {
		return attributes, false, nil
	}
	return merged, true, nil
}

var errNoMember = fault.ErrNotFound.WithMessage("there is no such member in this group")
