package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// maxSummary is how many of those present an answer to a subscriber names.
const maxSummary = 100

// PresenceSummary is who is there, in short.
type PresenceSummary struct {
	Online int       `json:"online"` // all of them
	Items  []Present `json:"items"`  // the first 100
}

// Presence returns who of the group's members is there, or was lately. It
// returns fault.ErrUnavailable while that is not known.
func (s *Service) Presence(ctx context.Context, caller auth.Identity, groupID string) ([]Present, error) {
	if _, _, err := s.look(ctx, actRead, caller, groupID); err != nil {
		return nil, err
	}
	items, err := s.Present(ctx, groupID)
	if items == nil {
		items = []Present{}
	}
	return items, err
}

// errNotFollowing refuses a live state through a socket that does not show its
// user to be there.
var errNotFollowing = fault.ErrBadRequest.WithMessage("this socket does not follow the group: subscribe first")

// SetPresence keeps the live state of a member who follows the group through
// the socket that asks, as following says, until they are offline. It returns
// fault.ErrForbidden to back ends, who are never present, and
// fault.ErrUnavailable while presence is down.
func (s *Service) SetPresence(ctx context.Context, caller auth.Identity, groupID string, following Following, req PresenceRequest) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if caller.Admin {
		return fault.ErrForbidden.WithMessage("a back end is never present")
	}
	if !following.GoesOn { // or it is not known to: ask
		g, _, err := s.look(ctx, actSignal, caller, groupID)
		if err != nil {
			return err
		}
		if err := goesOn(actSignal, g); err != nil {
			return err
		}
	}
	switch {
	case !following.Subscribed:
		return errNotFollowing
	case s.presence == nil:
		return fault.ErrUnavailable
	}
	return s.presence.SetState(ctx, groupID, caller.UserID, tidy(req.State))
}

// Following says what the node's feed knows of a socket and a group.
type Following struct {
	Subscribed bool // the socket follows the group
	GoesOn     bool // and the group has not ended
}

// Summary returns who is there for a caller who was admitted already, or nil
// while that is not known.
func (s *Service) Summary(ctx context.Context, groupID string) *PresenceSummary {
	items, err := s.Present(ctx, groupID)
	if err != nil {
		return nil
	}
	return Summarize(items)
}

// Summarize returns who is there in short.
func Summarize(items []Present) *PresenceSummary {
	sum := &PresenceSummary{Items: append([]Present{}, items[:min(len(items), maxSummary)]...)}
	for _, p := range items {
		if p.Status == StatusOnline {
			sum.Online++
		}
	}
	return sum
}

// statuses returns the status of everyone present, and whether it is known.
func (s *Service) statuses(ctx context.Context, groupID string) (map[string]string, bool) {
	items, err := s.Present(ctx, groupID)
	if err != nil {
		return nil, false
	}
	statuses := make(map[string]string, len(items))
	for _, p := range items {
		statuses[p.UserID] = p.Status
	}
	return statuses, true
}

// Present returns who of a group's members is there, or was lately, for a caller
// who was admitted already. It returns fault.ErrUnavailable while that is not
// known.
func (s *Service) Present(ctx context.Context, groupID string) ([]Present, error) {
	if s.presence == nil {
		return nil, fault.ErrUnavailable
	}
	return s.presence.List(ctx, groupID)
}
