package group

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// Finder is the part of a [Repository] that lists the groups of all users.
type Finder interface {
	// FindGroups lists the groups that match a filter, after the given place
	// ([Filter.Place]). If after is empty, it begins with the first one.
	FindGroups(ctx context.Context, f Filter, after string, limit int) ([]FoundGroup, error)
	// Timers lists the timers of groups that are not deleted, the earliest first, after the
	// given place ([Timer.Place]). If after is empty, it begins with the first one.
	Timers(ctx context.Context, after string, limit int) ([]Timer, error)
}

// Timer is the time of a group's next reminder, or of its end.
type Timer struct {
	GroupID  string
	Name     string
	NextAt   time.Time
	EndsAt   *time.Time // nil only if the timer has nothing to do
	Failures int        // failures since the last success; NextAt is then the next attempt
}

// IsEnd reports whether the timer ends the group, rather than sending a reminder.
func (t Timer) IsEnd() bool { return t.EndsAt != nil && !t.NextAt.Before(*t.EndsAt) }

// Place returns the position of the timer in the list.
func (t Timer) Place() string { return fmt.Sprint(t.NextAt.UnixMicro(), " ", t.GroupID) }

// Filter selects and orders groups for a back end.
type Filter struct {
	Query      string            // part of the name; only with order Newest and no other condition
	OwnerID    string            // empty for any
	Attributes map[string]string // all must match; only with order Newest, and not with Deleted
	Order      Order
	Deleted    bool // list deleted groups that are not removed yet, instead of the others; only with order Newest
}

// Order is the order of a list of groups.
type Order int

// The orders.
const (
	Newest  Order = iota // newest first
	Active               // the group with the latest event first
	Largest              // the group with the most members first
)

// FoundGroup is a group in a back end's list.
type FoundGroup struct {
	Group
	ActiveAt  time.Time  `json:"activeAt,omitzero" doc:"time of the last event, or up to a second less; for back ends"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" doc:"when the group was deleted; for back ends"`
}

// Place returns the position of a group in the list.
func (f Filter) Place(g FoundGroup) string {
	switch f.Order {
	case Active:
		return fmt.Sprint(g.ActiveAt.UnixMicro(), " ", g.ID)
	case Largest:
		return fmt.Sprint(g.MemberCount, " ", g.ID)
	default:
		return g.ID
	}
}

// MaxAttributeFilters is the maximum number of attributes in a filter.
const MaxAttributeFilters = 5

// maxAttributeKey and maxAttributeValue are the maximum sizes, in bytes, of attributes by
// which groups can be found.
const (
	maxAttributeKey   = 128
	maxAttributeValue = 256
)

// CheckAttribute returns why no group can be found by an attribute, or "".
func CheckAttribute(key, value string) string {
	if key == "" || len(key) > maxAttributeKey {
		return fmt.Sprintf("the key must have 1 to %d bytes", maxAttributeKey)
	}
	if len(value) > maxAttributeValue {
		return fmt.Sprintf("must have at most %d bytes", maxAttributeValue)
	}
	return ""
}

// check returns an error if the filter is not supported.
func (f Filter) check() error {
	mistake := func(field, message string) error {
		return fault.Validation(fault.Field{Field: field, Message: message})
	}
	if f.OwnerID != "" && !dto.ValidUserID(f.OwnerID) {
		return mistake("ownerId", "is not a user id")
	}
	if f.Deleted && f.Order != Newest {
		return mistake("sort", "deleted groups are listed newest first")
	}
	if f.Query != "" {
		if f.OwnerID != "" || len(f.Attributes) > 0 || f.Deleted || f.Order != Newest {
			return mistake("q", "cannot be combined with other filters: what it finds is listed newest first")
		}
		return dto.CheckQuery(f.Query)
	}
	if len(f.Attributes) == 0 {
		return nil
	}
	if len(f.Attributes) > MaxAttributeFilters {
		return mistake("attr", fmt.Sprintf("at most %d attributes can be given", MaxAttributeFilters))
	}
	if f.Deleted || f.Order != Newest {
		return mistake("attr", "cannot be combined with sort and deleted: what it finds is listed newest first")
	}
	for key, value := range f.Attributes {
		if wrong := CheckAttribute(key, value); wrong != "" {
			return mistake("attr."+key, wrong)
		}
	}
	return nil
}

var errFindsAll = fault.ErrForbidden.WithMessage("only a back end may find groups by ownerId, attr, sort or deleted")

// Find lists at most limit groups of all users, including private groups, for a back end.
// There are more if it returns limit groups, or [ListBytes].
func (s *Service) Find(ctx context.Context, caller auth.Identity, f Filter, after string, limit int) ([]FoundGroup, error) {
	if !caller.Admin {
		return nil, errFindsAll
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	return s.repo.FindGroups(ctx, f, after, limit)
}

// Timers lists at most limit timers of all groups, the earliest first, for a back end.
func (s *Service) Timers(ctx context.Context, caller auth.Identity, after string, limit int) ([]Timer, error) {
	if err := BackEndMay(caller, auth.ReadGroups); err != nil {
		return nil, err
	}
	return s.repo.Timers(ctx, after, limit)
}
