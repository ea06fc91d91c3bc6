package group

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

// What a [Gatekeeper] is asked about.
const (
	AskCreate  = "create"  // a group
	AskJoin    = "join"    // to become a member, or to request it
	AskMessage = "message" // to post one, or to edit it
	AskSignal  = "signal"  // to send one
)

// Gatekeeper asks the application's back end before a user does something that the rules
// of groups allow. It is safe for concurrent use. authorize.Gatekeeper fulfils it.
type Gatekeeper interface {
	// Asks reports whether the back end is to be asked about an event.
	Asks(event string) bool
	// Ask returns soon, also if the back end does not answer. Its error is a
	// [fault.Error] that refuses the change. No transaction is open meanwhile.
	Ask(ctx context.Context, q Question) (Verdict, error)
}

// Question is what a user wants to do.
type Question struct {
	Event   string
	UserID  string
	GroupID string // empty: a new group
	Data    any    // encoded as JSON; nil: none
}

// Verdict allows what was asked about.
type Verdict struct {
	Attributes dto.Patch // of the new group or the new member
}

// Entering is the data of a question about [AskJoin].
type Entering struct {
	By string `json:"by"` // open, invitation, invite or request
}

// editing is the data of a question about [AskMessage] for an edit. That for a new message
// has no version.
type editing struct {
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	Version int64           `json:"version"` // of the message
}

// The ways to become a member.
const (
	byPolicy     = "open"
	byInvitation = "invitation"
	byInvite     = "invite"
	byRequest    = "request"
)

// inquiry is a question that belongs to a change. A nil inquiry asks nothing.
type inquiry struct {
	gatekeeper Gatekeeper
	question   Question
	answered   bool
	verdict    Verdict
}

// errUnasked ends a transaction that would do what the back end was not asked about yet.
var errUnasked = errors.New("the application's back end was not asked")

// inquire returns the inquiry about what a caller wants to do, nil if nobody is asked.
// Back ends are not asked about.
func (s *Service) inquire(caller auth.Identity, event, groupID string, data any) *inquiry {
	if caller.Admin || s.gatekeeper == nil || !s.gatekeeper.Asks(event) {
		return nil
	}
	return &inquiry{gatekeeper: s.gatekeeper, question: Question{Event: event, UserID: caller.UserID, GroupID: groupID, Data: data}}
}

// due returns errUnasked if the back end is still to be asked. A change calls it when
// nothing else refuses what the inquiry is about.
func (i *inquiry) due() error {
	if i == nil || i.answered {
		return nil
	}
	return errUnasked
}

// dueWith is due, for a question whose data only the change knows.
func (i *inquiry) dueWith(data any) error {
	err := i.due()
	if err != nil {
		i.question.Data = data
	}
	return err
}

// attributes returns what the back end gives, nothing if it was not asked.
func (i *inquiry) attributes() dto.Patch {
	if i == nil {
		return dto.Patch{}
	}
	return i.verdict.Attributes
}

// asking runs try, which carries out a change. If that ends with errUnasked, asking asks
// the back end and runs try again. So the back end is asked only about what the rules
// allow, no transaction is open meanwhile, and the rules are checked again afterwards. It
// returns ErrReceipted, and asks nobody, for a call that has its answer already.
func (s *Service) asking(ctx context.Context, i *inquiry, r *Receipt, try func() error) error {
	err := try()
	if !errors.Is(err, errUnasked) {
		return err
	}
	if r != nil {
		first, err := s.repo.Receipt(ctx, r.UserID, r.Key)
		switch {
		case err != nil:
			return err
		case first != nil:
			return ErrReceipted
		}
	}
	if i.verdict, err = i.gatekeeper.Ask(ctx, i.question); err != nil {
		return err
	}
	i.answered = true
	return try()
}
