package group

import (
	"context"
	"time"
)

// Ban keeps a user out of a group.
type Ban struct {
	UserID    string     `json:"userId"`
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil: never
	Actor     string     `json:"actor"`               // who banned them
	At        time.Time  `json:"at"`
}

// holds reports whether the ban counts at an instant.
func (b *Ban) holds(now time.Time) bool {
	return b != nil && (b.ExpiresAt == nil || b.ExpiresAt.After(now))
}

// Applicant is a user who asked to become a member.
type Applicant struct {
	UserID string    `json:"userId"`
	Name   string    `json:"name,omitempty"`
	At     time.Time `json:"at"`
}

// Invite lets whoever has its code become a member.
type Invite struct {
	InviteID  string     `json:"inviteId"`
	MaxUses   *int       `json:"maxUses,omitempty"` // nil: any number
	Uses      int        `json:"uses"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil: never
	CreatedAt time.Time  `json:"createdAt"`
	CreatedBy string     `json:"createdBy"`
}

// Outsider is what a group keeps about a user who is not in it.
type Outsider struct {
	Ban       *Ban       // nil: none. One that has expired may still be here.
	Applicant *Applicant // nil: they did not ask to come in
}

// Admissions is the part of a [Tx] that is about who may come in. Users are
// known by id, whether they are members or not.
type Admissions interface {
	// Outsiders returns what the group keeps about users, by user id; those
	// about whom there is nothing are missing. Who is to come in is asked about
	// here first: a store reads with it what it is asked next, whether they are a
	// member.
	Outsiders(ctx context.Context, userIDs ...string) (map[string]Outsider, error)
	// SetBan bans a user, in place of the ban that there may be.
	SetBan(ctx context.Context, b Ban) error
	// RemoveBan lifts a ban; it does nothing when there is none.
	RemoveBan(ctx context.Context, userID string) error
	// SetApplicant notes that a user asked to become a member.
	SetApplicant(ctx context.Context, a Applicant) error
	// RemoveApplicant forgets that; it does nothing when they did not ask. Whoever
	// makes them a member or bans them calls it.
	RemoveApplicant(ctx context.Context, userID string) error
	// AddInvite inserts an invite. Its code is known by a hash alone.
	AddInvite(ctx context.Context, i Invite, codeHash string) error
	// Invite returns this group's invite with a code, or nil when there is none.
	Invite(ctx context.Context, codeHash string) (*Invite, error)
	// UseInvite counts one use. It is an error when there is no such invite.
	UseInvite(ctx context.Context, inviteID string) error
	// RemoveInvite deletes an invite; false: there is none.
	RemoveInvite(ctx context.Context, inviteID string) (bool, error)
	// CountInvites returns how many invites the group has, those included that
	// are good for nothing.
	CountInvites(ctx context.Context) (int, error)
	// RemoveOver deletes the invites that have expired at now or are used up,
	// and returns how many they were.
	RemoveOver(ctx context.Context, now time.Time) (int, error)
}

// AdmissionLists is the part of a [Repository] that lists who wants to come in,
// and who must not.
type AdmissionLists interface {
	// Bans lists the bans that have not expired at now in order of user id,
	// after the given one.
	Bans(ctx context.Context, groupID, after string, now time.Time, limit int) ([]Ban, error)
	// Applicants lists who asked to become a member in order of user id, after
	// the given one.
	Applicants(ctx context.Context, groupID, after string, limit int) ([]Applicant, error)
	// Invites lists invites by id, newest first, before the given one (empty:
	// from the newest).
	Invites(ctx context.Context, groupID, before string, limit int) ([]Invite, error)
	// InvitedTo returns the id of the group that the invite with a code is for;
	// fault.ErrNotFound when there is no such invite.
	InvitedTo(ctx context.Context, codeHash string) (string, error)
}
