package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// OfferTx is the part of a [Tx] that keeps to whom the owner offers the group.
type OfferTx interface {
	// Offered returns the member to whom the group is offered; empty: nobody.
	Offered() string
	// SetOffered offers the group to a member, in place of the last offer; empty:
	// to nobody. SetOwner and RemoveMember end an offer themselves.
	SetOffered(ctx context.Context, userID string) error
}

// transfer is the data of owner.transferred.
type transfer struct {
	From *string `json:"from"` // null: nobody
	To   *string `json:"to"`   // null: nobody
}

// StatusOffered is the [Transferred] status of a group that its owner offers.
const StatusOffered = "offered"

// Transferred is the result of [Service.Transfer]: the group, or a status when
// the new owner has to accept first. Its JSON is one or the other.
type Transferred struct {
	*Group
	Status string `json:"status,omitempty"` // offered, or empty
}

// Offered reports whether the group still has its owner.
func (t Transferred) Offered() bool { return t.Status == StatusOffered }

// Transfer makes a member the owner, and the previous owner an admin. A back end
// does so at once. The owner offers the group, which [Service.AcceptOwner] or
// [Service.DeclineOwner] answers; an offer replaces the last one. Naming the
// present owner ends the offer and changes nothing else. revision is as in
// [Service.Update]. It returns fault.ErrNotFound when the user is no member.
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

// offer stores that the group is offered to a member, unless it is already.
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

// AcceptOwner makes the caller the owner of a group that is offered to them. It
// changes nothing when they own it. It returns fault.ErrNotFound when it is not
// offered to them, and ErrLimitReached when they own as many groups as they may.
func (s *Service) AcceptOwner(ctx context.Context, caller auth.Identity, groupID string) (Group, error) {
	var g Group
	err := s.change(ctx, actAnswerOffer, caller, groupID, asked{what: "accept the ownership", answer: &g}, func(tx Tx, m *Member) error {
		switch {
		case m == nil:
			return errNotOffered // a back end that never joined
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

// DeclineOwner ends an offer of the group to the caller. It does nothing when the
// group is not offered to them.
func (s *Service) DeclineOwner(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.change(ctx, actAnswerOffer, caller, groupID, asked{what: "decline the ownership"}, func(tx Tx, m *Member) error {
		if m == nil || tx.Offered() != m.UserID {
			return nil
		}
		return tx.SetOffered(ctx, "")
	})
}

// handOver makes a member the owner; empty: nobody.
func (s *Service) handOver(ctx context.Context, tx Tx, caller auth.Identity, userID string) error {
	data := transfer{From: someone(tx.Group().OwnerID), To: someone(userID)}
	if err := tx.SetOwner(ctx, userID, s.instant()); err != nil {
		return err
	}
	_, err := tx.Append(ctx, OwnerTransferred, caller.UserID, data)
	return err
}

// someone returns nil for nobody.
func someone(userID string) *string {
	if userID == "" {
		return nil
	}
	return &userID
}
