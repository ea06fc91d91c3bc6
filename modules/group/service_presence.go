package group

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// maxSummary and maxSummaryBytes limit the items of a [PresenceSummary].
const (
	maxSummary      = 100
	maxSummaryBytes = 32 << 10
)

// PresenceSummary is a short list of who is present, with counts.
type PresenceSummary struct {
	Online int       `json:"online" doc:"number of members online"`
	Items  []Present `json:"items" doc:"the first 100, up to 32 KiB"`
}

// Presence returns at most limit of the members who are online, reconnecting, or went
// offline lately, in the order of [Present.Place]. It begins after the place after, or with
// the first if after is empty. It returns fault.ErrUnavailable while this is not known.
func (s *Service) Presence(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Present, error) {
	if err := s.list(ctx, actRead, caller, groupID); err != nil {
		return nil, err
	}
	items, err := s.Present(ctx, groupID)
	if err != nil {
		return nil, err
	}
	begin, found := slices.BinarySearchFunc(items, after, func(p Present, after string) int { return cmp.Compare(p.Place(), after) })
	if found {
		begin++
	}
	return append([]Present{}, items[begin:min(begin+limit, len(items))]...), nil
}

var errNotFollowing = fault.ErrBadRequest.WithMessage("this socket does not follow the group: subscribe first")

// SetPresence sets the live state of a member until they are offline. The requesting socket
// must be subscribed, as following says. SetPresence returns fault.ErrForbidden to back
// ends, which are never present, and fault.ErrUnavailable while presence is down.
func (s *Service) SetPresence(ctx context.Context, caller auth.Identity, groupID string, following Following, req dto.PresenceRequest) error {
	req, err := req.Validate()
	if err != nil {
		return err
	}
	if caller.Admin {
		return fault.ErrForbidden.WithMessage("a back end is never present")
	}
	if err := caller.Check(permissions[actSignal].call); err != nil {
		return err
	}
	if !following.GoesOn { // if false, the group may have ended, or the feed does not know
		g, _, err := s.look(ctx, actRead, caller, groupID)
		if err != nil {
			return err
		}
		if err := goesOn(actRead, g); err != nil {
			return err
		}
	}
	switch {
	case !following.Subscribed:
		return errNotFollowing
	case s.presence == nil:
		return fault.ErrUnavailable
	}
	if err := charge(caller, s.limits.State); err != nil {
		return err
	}
	if err := s.chargeDeliveries(caller, groupID, len(req.State), math.MaxInt); err != nil {
		return err
	}
	return s.presence.SetState(ctx, groupID, caller.UserID, req.State)
}

// Following is what this node's feed knows about a socket and a group.
type Following struct {
	Subscribed bool // the socket is subscribed to the group
	GoesOn     bool // the socket is subscribed, and the group has not ended
}

// Summary returns who is present, or nil while this is not known. It checks no permissions.
func (s *Service) Summary(ctx context.Context, groupID string) *PresenceSummary {
	items, err := s.Present(ctx, groupID)
	if err != nil {
		return nil
	}
	return Summarize(items)
}

// Summarize returns the summary of items.
func Summarize(items []Present) *PresenceSummary {
	sum := &PresenceSummary{Items: append([]Present{}, items[:fit(items, maxSummary, maxSummaryBytes)]...)}
	for _, p := range items {
		if p.Status == StatusOnline {
			sum.Online++
		}
	}
	return sum
}

// statuses returns the status of everyone present, by user id. It returns false while this
// is not known.
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

// Present returns the full list of [Service.Presence], without a check of permissions.
func (s *Service) Present(ctx context.Context, groupID string) ([]Present, error) {
	if s.presence == nil {
		return nil, fault.ErrUnavailable
	}
	return s.presence.List(ctx, groupID)
}
