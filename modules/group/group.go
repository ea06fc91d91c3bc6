// Package group holds the types and rules of groups: their records, members, policies and
// logs of events. [Service] is the main type.
//
// A change takes this path: controller or socket handler (package api), [Service],
// [Repository] (one transaction: row, version, event, outbox), [feed.Feed], sockets. The
// package uses no SQL and no Redis: packages sqlstore and redispresence implement its
// interfaces.
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

// The values of Posting. An unknown value counts as PostingMembers.
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
	ID           string          `json:"id" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
	Name         string          `json:"name" example:"Sunday hike"`
	Description  string          `json:"description" example:"We meet at the north gate"`
	Visibility   Visibility      `json:"visibility" enum:"private,public"`
	JoinPolicy   JoinPolicy      `json:"joinPolicy" enum:"open,request,invite"`
	Posting      Posting         `json:"posting" enum:"members,admins" doc:"who may post messages and send signals"`
	ReadReceipts bool            `json:"readReceipts" doc:"members see how far the others have read"`
	Capacity     *int            `json:"capacity" doc:"maximum number of members, including the owner; null: only the server's limit applies" example:"10"`
	Attributes   json.RawMessage `json:"attributes" format:"object" example:"{\"level\":3}"`
	MemberCount  int             `json:"memberCount" example:"2"`
	OwnerID      string          `json:"ownerId" doc:"user id of the owner" example:"alice"`
	Version      int64           `json:"version" doc:"version of the last event" example:"12"`
	Revision     int64           `json:"revision" doc:"version of the last change of this record" example:"7"`
	CreatedAt    time.Time       `json:"createdAt" example:"2026-03-01T12:00:00.123456Z"`
	UpdatedAt    time.Time       `json:"updatedAt" example:"2026-03-01T12:30:00.123456Z"`
	EndsAt       *time.Time      `json:"endsAt,omitempty" doc:"time at which the group ends; absent: it does not"`
	EndedAt      *time.Time      `json:"endedAt,omitempty" doc:"time at which the group ended; absent: it has not"`
	RemindBefore []int           `json:"remindBefore,omitempty" doc:"when reminders are sent, in seconds before endsAt"`
}

// Member is a user in a group.
type Member struct {
	UserID     string          `json:"userId" example:"bob"`
	Name       string          `json:"name,omitempty" example:"Bob"`
	Role       Role            `json:"role" enum:"owner,admin,member"`
	Attributes json.RawMessage `json:"attributes" format:"object" doc:"set by admins" example:"{\"team\":\"red\"}"`
	Profile    json.RawMessage `json:"profile,omitempty" format:"object" doc:"set by the member; absent if it is empty" example:"{\"pronouns\":\"they\"}"`
	JoinedAt   time.Time       `json:"joinedAt" example:"2026-03-01T12:05:00.123456Z"`

	Muted      bool       `json:"muted,omitempty" doc:"the member may not post; it does not count after mutedUntil"`
	MutedUntil *time.Time `json:"mutedUntil,omitempty" doc:"absent: until an admin lifts the mute"`
}

// Event is one durable change of a group. Versions are 1, 2, 3 … within the group, without
// gaps.
type Event struct {
	GroupID string          `json:"groupId" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
	Version int64           `json:"version" doc:"1, 2, 3 … within the group, without gaps" example:"13"`
	Type    EventType       `json:"type" enum:"group.created,group.updated,group.reminder,group.ended,group.deleted,member.joined,member.updated,member.left,member.removed,member.banned,member.invited,member.muted,member.unmuted,message.posted,message.edited,message.deleted,owner.offered,owner.transferred,request.created,request.approved,request.rejected,request.withdrawn,invite.created,invite.revoked" example:"message.posted"`
	Actor   *string         `json:"actor" doc:"user id; null: the system, or an erased user" example:"bob"`
	Data    json.RawMessage `json:"data" format:"object" doc:"depends on type: see asyncapi.json" example:"{\"type\":\"message\",\"data\":{\"text\":\"I bring the tea\"}}"`
	At      time.Time       `json:"at" example:"2026-03-01T12:31:00.123456Z"`
}

// EventType is the type of an [Event].
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
	MessagePosted EventType = "message.posted" // {type, data}; if changed later, also editedAt, editedIn, deletedAt

	MessageEdited  EventType = "message.edited"  // {version, data}; if changed later, also replacedIn
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
