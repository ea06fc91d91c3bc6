// Package group holds the types and rules of groups: their record, members,
// policy and log of events.
//
// A change takes one path: controller or socket handler (package api), [Service],
// [Repository] (one transaction: row, version, event, outbox), [feed.Feed],
// sockets. The package knows no SQL and no Redis: packages sqlstore and
// redispresence implement its interfaces.
package group

import (
	"encoding/json"
	"time"
)

// Visibility says who can see that a group exists.
type Visibility string

// The visibilities.
const (
	Private Visibility = "private" // members only
	Public  Visibility = "public"  // everyone can find and read it
)

// JoinPolicy says how someone becomes a member.
type JoinPolicy string

// The join policies.
const (
	JoinOpen    JoinPolicy = "open"
	JoinRequest JoinPolicy = "request"
	JoinInvite  JoinPolicy = "invite"
)

// Posting says who may post messages and send signals.
type Posting string

// The rules of posting. An unknown one is as PostingMembers.
const (
	PostingMembers Posting = "members"
	PostingAdmins  Posting = "admins" // admins and the owner
)

// Role is what a member may do in a group.
type Role string

// The roles, from most to least.
const (
	Owner      Role = "owner"
	Admin      Role = "admin"
	MemberRole Role = "member"
)

// Group is a durable record with members, a policy, attributes and a version.
type Group struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	Visibility   Visibility      `json:"visibility"`
	JoinPolicy   JoinPolicy      `json:"joinPolicy"`
	Posting      Posting         `json:"posting"`
	ReadReceipts bool            `json:"readReceipts"` // members see how far the others have read
	Capacity     *int            `json:"capacity"`     // seats, the owner's included; null: no limit of its own
	Attributes   json.RawMessage `json:"attributes"`   // an object
	MemberCount  int             `json:"memberCount"`
	OwnerID      string          `json:"ownerId"`
	Version      int64           `json:"version"`  // of the last event
	Revision     int64           `json:"revision"` // version of the last change of this record
	CreatedAt    time.Time       `json:"createdAt"`
	UpdatedAt    time.Time       `json:"updatedAt"`
	EndsAt       *time.Time      `json:"endsAt,omitempty"`
	EndedAt      *time.Time      `json:"endedAt,omitempty"`
	RemindBefore []int           `json:"remindBefore,omitempty"` // seconds before EndsAt
}

// Member is a user in a group.
type Member struct {
	UserID     string          `json:"userId"`
	Name       string          `json:"name,omitempty"`
	Role       Role            `json:"role"`
	Attributes json.RawMessage `json:"attributes"`        // the admins'
	Profile    json.RawMessage `json:"profile,omitempty"` // the member's own: an object; nil if it is empty
	JoinedAt   time.Time       `json:"joinedAt"`

	Muted      bool       `json:"muted,omitempty"`      // may not post. It does not count after MutedUntil
	MutedUntil *time.Time `json:"mutedUntil,omitempty"` // nil: until somebody lifts the mute
}

// Event is one durable change of a group. Versions count 1, 2, 3 … within the
// group, without holes.
type Event struct {
	GroupID string          `json:"groupId"`
	Version int64           `json:"version"`
	Type    EventType       `json:"type"`
	Actor   *string         `json:"actor"` // a user id; null: the system
	Data    json.RawMessage `json:"data"`
	At      time.Time       `json:"at"`
}

// EventType names what an [Event] says.
type EventType string

// The event types and their data.
const (
	GroupCreated  EventType = "group.created"  // Group
	GroupUpdated  EventType = "group.updated"  // the changed fields
	GroupReminder EventType = "group.reminder" // {secondsLeft}
	GroupEnded    EventType = "group.ended"    // {}
	GroupDeleted  EventType = "group.deleted"  // {}
	MemberJoined  EventType = "member.joined"  // Member
	MemberUpdated EventType = "member.updated" // Member
	MemberLeft    EventType = "member.left"    // {userId}
	MemberRemoved EventType = "member.removed" // {userId}
	MemberBanned  EventType = "member.banned"  // {userId, reason?}
	MemberInvited EventType = "member.invited" // {userId, expiresAt}
	MemberMuted   EventType = "member.muted"   // {userId, expiresAt?}
	MemberUnmuted EventType = "member.unmuted" // {userId}
	MessagePosted EventType = "message.posted" // {type, data}; for later readers also editedAt, editedIn, deletedAt

	MessageEdited  EventType = "message.edited"  // {version, data}; for later readers also replacedIn
	MessageDeleted EventType = "message.deleted" // {version}

	OwnerOffered     EventType = "owner.offered"     // {userId}
	OwnerTransferred EventType = "owner.transferred" // {from, to}
	RequestCreated   EventType = "request.created"   // {userId}
	RequestApproved  EventType = "request.approved"  // {userId}
	RequestRejected  EventType = "request.rejected"  // {userId}
	RequestWithdrawn EventType = "request.withdrawn" // {userId}
	InviteCreated    EventType = "invite.created"    // {inviteId}
	InviteRevoked    EventType = "invite.revoked"    // {inviteId}
)
