package group

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

// Events that a [Gatekeeper] may be asked about.
const (
	AskCreate  = "create"  // create a group
	AskJoin    = "join"    // become a member, or request it
	AskMessage = "message" // post or edit a message
	AskSignal  = "signal"  // send a signal
)

// Gatekeeper asks the application's back end before a user does something that the rules of
// groups allow. It is safe for concurrent use. authorize.Gatekeeper implements it.
type Gatekeeper interface {
	// Asks reports whether the back end must be asked about an event.
	Asks(event string) bool
	// Ask asks the back end. Its error is a [fault.Error] that refuses the change. Ask
	// returns within a bounded time, even if the back end does not answer. It is called
	// outside of transactions.
	Ask(ctx context.Context, q Question) (Verdict, error)
}

// Question describes what a user wants to do.
type Question struct {
	Event   string
	UserID  string
	GroupID string // empty for a new group
	Data    any    // encoded as JSON; may be nil
}

// Verdict is the answer that allows it.
type Verdict struct {
	Attributes dto.Patch // for the new group or the new member
}

// Entering is the data of a question about [AskJoin].
type Entering struct {
	By string `json:"by"` // open, invitation, invite or request
}

// editing is the data of a question about [AskMessage] for an edit. For a new message,
// there is no version.
type editing struct {
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	Version int64           `json:"version"` // version of the message
}

// The ways to become a member.
const (
	byPolicy     = "open"
	byInvitation = "invitation"
	byInvite     = "invite"
	byRequest    = "request"
)

// inquiry is a question about a change. A nil inquiry asks nothing.
type inquiry struct {
	gatekeeper Gatekeeper
	question   Question
	answered   bool
	verdict    Verdict
}

// errUnasked ends a transaction whose change needs a question that was not asked yet.
var errUnasked = errors.New("the application's back end was not asked")

// inquire returns the inquiry for a call, or nil if the back end need not be asked. A back
// end's own calls are not asked about.
func (s *Service) inquire(caller auth.Identity, event, groupID string, data any) *inquiry {
	if caller.Admin || s.gatekeeper == nil || !s.gatekeeper.Asks(event) {
		return nil
	}
	return &inquiry{gatekeeper: s.gatekeeper, question: Question{Event: event, UserID: caller.UserID, GroupID: groupID, Data: data}}
}

// due returns errUnasked if the back end must still be asked. A change calls it when
// nothing else refuses it.
func (i *inquiry) due() error {
	if i == nil || i.answered {
		return nil
	}
	return errUnasked
}

// dueWith is due for a question whose data is known only inside the change.
func (i *inquiry) dueWith(data any) error {
	err := i.due()
	if err != nil {
		i.question.Data = data
	}
	return err
}

// attributes returns the attributes in the back end's answer, if it was asked.
func (i *inquiry) attributes() dto.Patch {
	if i == nil {
		return dto.Patch{}
	}
	return i.verdict.Attributes
}

// asking runs try, which makes a change. If try returns errUnasked, asking asks the back
// end and runs try again. So the back end is asked only about changes that the rules allow,
// outside of transactions, and the rules are checked again afterwards. For a repeated call
// that has a receipt, asking returns ErrReceipted and asks nothing.
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
