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
	// FindGroups lists the groups that a filter describes, after the given place
	// ([Filter.Place]; empty: from the first).
	FindGroups(ctx context.Context, f Filter, after string, limit int) ([]FoundGroup, error)
	// Timers lists the timers of groups that are not deleted, the next one first, after
	// the given place ([Timer.Place]; empty: from the first).
	Timers(ctx context.Context, after string, limit int) ([]Timer, error)
}

// Timer is when a group's next reminder is sent, or when it ends.
type Timer struct {
	GroupID  string
	Name     string
	NextAt   time.Time
	EndsAt   *time.Time // nil only for a timer that has nothing to do
	Failures int        // since the last success; NextAt is then the next try
}

// IsEnd reports whether the group ends then, and is not only reminded.
func (t Timer) IsEnd() bool { return t.EndsAt != nil && !t.NextAt.Before(*t.EndsAt) }

// Place returns where a timer is in the list.
func (t Timer) Place() string { return fmt.Sprint(t.NextAt.UnixMicro(), " ", t.GroupID) }

// Filter says which groups a back end asks for, and their order.
type Filter struct {
	Query      string            // part of the name; in the order Newest, and together with nothing else
	OwnerID    string            // empty: anyone's
	Attributes map[string]string // all of them; in the order Newest, and not together with Deleted
	Order      Order
	Deleted    bool // those that are deleted and not yet removed, instead of the others; in the order Newest
}

// Order is the order in which a back end finds groups.
type Order int

// The orders.
const (
	Newest  Order = iota // the newest first
	Active               // those first that had an event last
	Largest              // those with the most members first
)

// FoundGroup is a group as a back end finds it.
type FoundGroup struct {
	Group
	ActiveAt  time.Time  `json:"activeAt,omitzero" doc:"time of the last event, or up to a second less; for back ends"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" doc:"when the group was deleted; for back ends"`
}

// Place returns where a group is in the list.
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

// MaxAttributeFilters is how many attributes a filter may have.
const MaxAttributeFilters = 5

// maxAttributeKey and maxAttributeValue are the bytes of the attributes by which groups
// are found.
const (
	maxAttributeKey   = 128
	maxAttributeValue = 256
)

// CheckAttribute returns why no group is found by an attribute, or nothing.
func CheckAttribute(key, value string) string {
	if key == "" || len(key) > maxAttributeKey {
		return fmt.Sprintf("the key must have 1 to %d bytes", maxAttributeKey)
	}
	if len(value) > maxAttributeValue {
		return fmt.Sprintf("must have at most %d bytes", maxAttributeValue)
	}
	return ""
}

// check reports what cannot be asked for.
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

// Find lists at most limit groups of all users, private ones too, for a back end. There
// are more when it returns limit, or [ListBytes].
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

// Timers lists at most limit timers of all groups, the next one first, for a back end.
func (s *Service) Timers(ctx context.Context, caller auth.Identity, after string, limit int) ([]Timer, error) {
	if err := BackEndMay(caller, auth.ReadGroups); err != nil {
		return nil, err
	}
	return s.repo.Timers(ctx, after, limit)
}
