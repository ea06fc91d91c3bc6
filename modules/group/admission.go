package group

import (
	"context"
	"time"
)

// Ban keeps a user out of a group.
type Ban struct {
	UserID    string     `json:"userId"`
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil if it does not expire
	Actor     string     `json:"actor"`               // the user who made the ban
	At        time.Time  `json:"at"`
}

// holds reports whether the ban is in force at now.
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
	MaxUses   *int       `json:"maxUses,omitempty"` // nil for any number
	Uses      int        `json:"uses"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil if it does not expire
	CreatedAt time.Time  `json:"createdAt"`
	CreatedBy string     `json:"createdBy"`
}

// Outsider is what a group keeps about a user who is not a member.
type Outsider struct {
	Ban       *Ban       // nil if there is none; may have expired
	Applicant *Applicant // nil if they did not ask to join

	Invitation *Invitation // nil if there is none; may have expired

	Mute *Mute // nil if there is none; may have expired. It applies again when they become a member
}

// OutsiderTx is the part of a [Tx] that reads about users who are not members.
type OutsiderTx interface {
	// Outsiders returns what the group keeps about users, by user id. It leaves out users
	// about whom the group keeps nothing. Call it before [MemberTx.Member] for a user who
	// wants to join: a store can then read both at once.
	Outsiders(ctx context.Context, userIDs ...string) (map[string]Outsider, error)
}
