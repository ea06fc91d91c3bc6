package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// OfferTx is the part of a [Tx] that keeps the owner's offer of the group.
type OfferTx interface {
	// Offered returns the member to whom the group is offered, or "".
	Offered() string
	// SetOffered offers the group to a member, which replaces an earlier offer. If userID
	// is empty, it ends the offer. SetOwner and RemoveMember also end it.
	SetOffered(ctx context.Context, userID string) error
}

// transfer is the data of owner.transferred.
type transfer struct {
	From *string `json:"from"` // null if there was none
	To   *string `json:"to"`   // null if there is none
}

// StatusOffered is the [Transferred] status of a group that the owner offers.
const StatusOffered = "offered"

// Transferred is the result of [Service.Transfer]: the group, or a status if the new owner
// has to accept first. Its JSON is one of the two.
type Transferred struct {
	*Group
	Status string `json:"status,omitempty"` // offered, or empty
}

// Offered reports whether the transfer waits for the new owner, so the owner has not
// changed.
func (t Transferred) Offered() bool { return t.Status == StatusOffered }

// Transfer makes a member the owner, and the previous owner an admin. For a back end this
// takes effect at once. An owner only offers the group; the member answers with
// [Service.AcceptOwner] or [Service.DeclineOwner]. A new offer replaces the last one.
// Transferring to the current owner only ends the offer. For revision, see
// [Service.Update]. Transfer returns fault.ErrNotFound if the user is not a member.
func (s *Service) Transfer(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req dto.TransferRequest) (Transferred, error) {
	if err := req.Validate(); err != nil {
		return Transferred{}, err
	}
	var result Transferred
	err := s.change(ctx, actTransfer, caller, groupID, asked{what: "transfer", with: []any{req, revision}, answer: &result}, func(tx Tx, _ *Member) error {
		if err := matches(tx.Group(), revision); err != nil {
			return err
		}
		heir, err := tx.Member(ctx, req.UserID)
		switch {
		case err != nil:
			return err
		case heir == nil:
			return errNoMember
		case heir.Role == Owner:
			err = tx.SetOffered(ctx, "")
		case caller.Admin:
			err = s.handOver(ctx, tx, caller, heir.UserID)
		default:
			result = Transferred{Status: StatusOffered}
			return offer(ctx, tx, caller, heir.UserID)
		}
		g := tx.Group()
		result = Transferred{Group: &g}
		return err
	})
	return result, err
}

// offer stores that the group is offered to a member, unless it already is.
func offer(ctx context.Context, tx Tx, caller auth.Identity, userID string) error {
	if tx.Offered() == userID {
		return nil
	}
	if err := tx.SetOffered(ctx, userID); err != nil {
		return err
	}
	_, err := tx.Append(ctx, OwnerOffered, caller.UserID, subject{UserID: userID})
	return err
}

var errNotOffered = fault.ErrNotFound.WithMessage("the owner does not offer you this group")

// AcceptOwner makes the caller the owner of a group that is offered to them. It changes
// nothing if they own it already. It returns fault.ErrNotFound if the group is not offered
// to them, and ErrLimitReached if they own as many groups as allowed.
func (s *Service) AcceptOwner(ctx context.Context, caller auth.Identity, groupID string) (Group, error) {
	var g Group
	err := s.change(ctx, actAnswerOffer, caller, groupID, asked{what: "accept the ownership", answer: &g}, func(tx Tx, m *Member) error {
		switch {
		case m == nil:
			return errNotOffered // the caller is a back end that never joined
		case m.Role == Owner:
			g = tx.Group()
			return nil
		case tx.Offered() != m.UserID:
			return errNotOffered
		}
		if err := s.mayOwn(ctx, tx, caller, m.UserID, tx.Group().OwnerID); err != nil {
			return err
		}
		err := s.handOver(ctx, tx, caller, m.UserID)
		g = tx.Group()
		return err
	})
	return g, err
}

// DeclineOwner ends an offer of the group to the caller, if there is one.
func (s *Service) DeclineOwner(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.change(ctx, actAnswerOffer, caller, groupID, asked{what: "decline the ownership"}, func(tx Tx, m *Member) error {
		if m == nil || tx.Offered() != m.UserID {
			return nil
		}
		return tx.SetOffered(ctx, "")
	})
}

// handOver makes a member the owner. If userID is empty, the group has no owner.
func (s *Service) handOver(ctx context.Context, tx Tx, caller auth.Identity, userID string) error {
	data := transfer{From: someone(tx.Group().OwnerID), To: someone(userID)}
	if err := tx.SetOwner(ctx, userID, s.instant()); err != nil {
		return err
	}
	_, err := tx.Append(ctx, OwnerTransferred, caller.UserID, data)
	return err
}

// someone returns nil for an empty id.
func someone(userID string) *string {
	if userID == "" {
		return nil
	}
	return &userID
}
