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

// Invite lets users who have its code become members.
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

	Invitation *Invitation // nil: none. One that has expired may still be here.

	Mute *Mute // nil: none. One that has expired may still be here. It binds them again once they are in
}

// OutsiderTx is the part of a [Tx] that reads about users who are not in the
// group.
type OutsiderTx interface {
	// Outsiders returns what the group keeps about users, by user id, and nothing
	// for users about whom it keeps nothing. Call it before [MemberTx.Member] for
	// a user who wants to join: a store then reads both at once.
	Outsiders(ctx context.Context, userIDs ...string) (map[string]Outsider, error)
}
