package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
)

// transfer is the data of owner.transferred.
type transfer struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Transfer makes a member the owner; the owner before them becomes an admin.
// revision is as in [Service.Update]. Naming who owns the group already changes
// nothing. It returns fault.ErrNotFound when the user is no member, and
// ErrLimitReached when they own as many groups as they may.
func (s *Service) Transfer(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req TransferRequest) (Group, error) {
	if err := req.Validate(); err != nil {
		return Group{}, err
	}
	var g Group
	err := s.change(ctx, actTransfer, caller, groupID, asked{"transfer", []any{req, revision}, &g}, func(tx Tx, _ *Member) error {
		g = tx.Group()
		if err := matches(g, revision); err != nil {
			return err
		}
		heir, err := tx.Member(ctx, req.UserID)
		switch {
		case err != nil:
			return err
		case heir == nil:
			return errNoMember
		case heir.UserID == g.OwnerID:
			return nil
		}
		if err := s.mayOwn(ctx, tx, caller, heir.UserID); err != nil {
			return err
		}
		data := transfer{From: g.OwnerID, To: heir.UserID}
		if err := tx.SetOwner(ctx, heir.UserID, s.instant()); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, OwnerTransferred, caller.UserID, data); err != nil {
			return err
		}
		g = tx.Group()
		return nil
	})
	return g, err
}
