package group

import (
	"context"
	"encoding/json"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

var (
	errNamesOthers   = fault.ErrForbidden.WithMessage("only a back end may give names to other users")
	errOwnsForOthers = fault.ErrForbidden.WithMessage("only a back end may create a group for another owner")
)

// Introduce applies a merge patch to the caller's own name and profile in a group. A patch
// that changes nothing creates no event. It returns ErrNotMember to a back end that never
// joined.
func (s *Service) Introduce(ctx context.Context, caller auth.Identity, groupID string, req dto.IntroduceRequest) (Member, error) {
	req, err := req.Validate()
	if err != nil {
		return Member{}, err
	}
	// Any member can cause this event, so it is charged like a message.
	if err := s.chargeDeliveries(caller, groupID, changeSize+len(req.Profile), math.MaxInt); err != nil {
		return Member{}, err
	}
	patch := req.Patch()
	var result Member
	err = s.change(ctx, actIntroduce, caller, groupID, asked{what: "introduce", with: req, answer: &result}, func(tx Tx, self *Member) error {
		if self == nil {
			return ErrNotMember
		}
		result = *self
		profile, changed, err := patch.Apply(self.profile())
		if err != nil {
			return err
		}
		if changed {
			result.Profile = profile
		}
		if string(result.Profile) == "{}" {
			result.Profile = nil // as the store would return it
		}
		if req.Name != nil && *req.Name != self.Name {
			result.Name, changed = *req.Name, true
		}
		if !changed {
			return nil
		}
		if err := tx.SetMember(ctx, result); err != nil {
			return err
		}
		_, err = tx.Append(ctx, MemberUpdated, caller.UserID, result)
		return err
	})
	return result, err
}

// profile returns the member's profile as an object.
func (m Member) profile() json.RawMessage {
	if m.Profile == nil {
		return json.RawMessage("{}")
	}
	return m.Profile
}
