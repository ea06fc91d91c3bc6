package group

import (
	"time"

	"github.com/moim-live/moim/modules/group/dto"
)

// keptAddition is the form of [AddedMembers] in a receipt: one letter for each user in the
// request, and the members that cannot be rebuilt from the request.
type keptAddition struct {
	Outcomes string     `json:"outcomes,omitempty"`
	At       *time.Time `json:"at,omitempty"` // nil in a receipt of an earlier version, which has the whole answer
	Items    []Member   `json:"items,omitempty"`
	Invited  []string   `json:"invited,omitempty"` // only in a receipt of an earlier version
	Version  int64      `json:"version"`
}

// The outcomes for one user.
const (
	wasAdded   = 'a'
	wasInvited = 'i'
	wasThere   = '-' // a member already, or named twice
)

// keepAddition returns what is needed to answer a repeat of req.
func keepAddition(req dto.AddMembersRequest, added AddedMembers, at time.Time) keptAddition {
	kept := keptAddition{At: &at, Version: added.Version}
	outcomes := make(map[string]byte, len(added.Items)+len(added.Invited))
	for _, m := range added.Items {
		outcomes[m.UserID] = wasAdded
		if m.Muted {
			kept.Items = append(kept.Items, m)
		}
	}
	for _, userID := range added.Invited {
		outcomes[userID] = wasInvited
	}
	letters := make([]byte, len(req.UserIDs))
	for i, userID := range req.UserIDs {
		letters[i] = wasThere
		if outcome, ok := outcomes[userID]; ok {
			letters[i] = outcome
			delete(outcomes, userID)
		}
	}
	kept.Outcomes = string(letters)
	return kept
}

// answer rebuilds the answer. req must be the same request as the first one.
func (k keptAddition) answer(req dto.AddMembersRequest) AddedMembers {
	added := AddedMembers{Items: []Member{}, Invited: k.Invited, Version: k.Version}
	if k.At == nil {
		added.Items = append(added.Items, k.Items...)
		return added
	}
	others := make(map[string]Member, len(k.Items))
	for _, m := range k.Items {
		others[m.UserID] = m
	}
	for i, userID := range req.UserIDs[:min(len(req.UserIDs), len(k.Outcomes))] {
		switch k.Outcomes[i] {
		case wasAdded:
			m, ok := others[userID]
			if !ok {
				m = newMember(userID, req.Names[userID], MemberRole, *k.At)
			}
			added.Items = append(added.Items, m)
		case wasInvited:
			added.Invited = append(added.Invited, userID)
		}
	}
	return added
}
