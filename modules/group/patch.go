package group

import (
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// update returns g with the request applied, and the changed fields with their new values,
// which are the data of group.updated. patch is the parsed patch of the request.
func update(g Group, req dto.UpdateRequest, patch dto.Patch) (Group, map[string]any, error) {
	changes := make(map[string]any)
	replace(changes, "name", &g.Name, req.Name)
	replace(changes, "description", &g.Description, req.Description)
	replace(changes, "visibility", &g.Visibility, (*Visibility)(req.Visibility))
	replace(changes, "joinPolicy", &g.JoinPolicy, (*JoinPolicy)(req.JoinPolicy))
	replace(changes, "posting", &g.Posting, (*Posting)(req.Posting))
	replace(changes, "readReceipts", &g.ReadReceipts, req.ReadReceipts)
	switch {
	case req.RemoveCapacity && g.Capacity != nil:
		g.Capacity = nil
		changes["capacity"] = nil
	case req.Capacity != nil && (g.Capacity == nil || *g.Capacity != *req.Capacity):
		if *req.Capacity < g.MemberCount {
			return g, nil, ErrGroupFull.WithMessage("the group has more members than that")
		}
		capacity := *req.Capacity
		g.Capacity = &capacity
		changes["capacity"] = capacity
	}
	attributes, changed, err := patch.Apply(g.Attributes)
	if err != nil {
		return g, nil, err
	}
	if changed {
		g.Attributes = attributes
		changes["attributes"] = attributes
	}
	reschedule(&g, req, changes)
	return g, changes, nil
}

// updateMember returns m with the request applied, and whether anything changed. patch is
// the parsed patch of the request.
func updateMember(m Member, req dto.UpdateMemberRequest, patch dto.Patch) (Member, bool, error) {
	changes := make(map[string]any)
	replace(changes, "role", &m.Role, (*Role)(req.Role))
	attributes, changed, err := patch.Apply(m.Attributes)
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

var errNoMember = fault.ErrNotFound.WithMessage("there is no such member in this group")
