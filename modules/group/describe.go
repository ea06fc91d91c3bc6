package group

import (
	"encoding/json"
	"time"
)

// The data of events for subscribers, except [Event].
type (
	// Closed is the data of [EventClosed].
	Closed struct {
		GroupID string `json:"groupId"`
		Reason  string `json:"reason" doc:"left, removed, banned, deleted, resync, or the reason of a program that embeds Moim" example:"left"`
	}
	// SentSignal is the data of [EventSignal].
	SentSignal struct {
		GroupID string          `json:"groupId"`
		From    string          `json:"from" doc:"user id of the sender" example:"bob"`
		Type    string          `json:"type" example:"typing"`
		Data    json.RawMessage `json:"data" doc:"any JSON value" example:"{\"on\":true}"`
	}
	// PresenceNews is the data of [EventPresence].
	PresenceNews struct {
		GroupID string           `json:"groupId"`
		Online  *int             `json:"online,omitempty" doc:"number of members online, in place of items; only in a large group"`
		Items   []PresenceChange `json:"items"`
	}
	// ReadNews is the data of [EventRead].
	ReadNews struct {
		GroupID string     `json:"groupId"`
		Items   []ReadMark `json:"items"`
	}
	// MineNews is the data of [EventMine].
	MineNews struct {
		GroupID string    `json:"groupId"`
		Type    EventType `json:"type" doc:"the event that changed the list" example:"member.joined"`
	}
	// ReadMark says how far a member has read.
	ReadMark struct {
		UserID  string `json:"userId"`
		Version int64  `json:"version" doc:"version of the last event that they have read"`
	}
)

// EventData returns, for each type of event, a value of the type of its data.
func EventData() map[EventType]any {
	return map[EventType]any{
		GroupCreated: createdGroup{}, GroupUpdated: changedGroup{}, GroupReminder: reminder{}, GroupEnded: nothing{}, GroupDeleted: nothing{},
		MemberJoined: Member{}, MemberUpdated: Member{}, MemberLeft: leaver{}, MemberRemoved: subject{},
		MemberBanned: banned{}, MemberInvited: invited{}, MemberMuted: muted{}, MemberUnmuted: subject{},
		MessagePosted: posted{}, MessageEdited: edited{}, MessageDeleted: deleted{},
		OwnerOffered: subject{}, OwnerTransferred: transfer{},
		RequestCreated: subject{}, RequestApproved: subject{}, RequestRejected: subject{}, RequestWithdrawn: subject{},
		InviteCreated: inviteSubject{}, InviteRevoked: inviteSubject{},
	}
}

// The types below describe data that is composed of other types.
type (
	nothing struct{}
	// createdGroup is a Group. Its owner may have been erased since.
	createdGroup struct {
		Group
		OwnerID *string `json:"ownerId" doc:"null: an erased user"`
	}
	// changedGroup has the changed fields, as [update] and imports write them.
	changedGroup struct {
		Name         *string         `json:"name,omitempty"`
		Description  *string         `json:"description,omitempty"`
		Visibility   *Visibility     `json:"visibility,omitempty" enum:"private,public"`
		JoinPolicy   *JoinPolicy     `json:"joinPolicy,omitempty" enum:"open,request,invite"`
		Posting      *Posting        `json:"posting,omitempty" enum:"members,admins"`
		ReadReceipts *bool           `json:"readReceipts,omitempty"`
		Capacity     *int            `json:"capacity,omitempty" nullable:"true" doc:"null: only the server's limit applies"`
		Attributes   json.RawMessage `json:"attributes,omitempty" format:"object" doc:"all attributes, not only those that changed"`
		EndsAt       *time.Time      `json:"endsAt,omitempty" nullable:"true" doc:"null: the group does not end"`
		EndedAt      *time.Time      `json:"endedAt,omitempty" nullable:"true" doc:"null: the group continues"`
		RemindBefore *[]int          `json:"remindBefore,omitempty" nullable:"true" doc:"null: there are no reminders"`
		MemberCount  *int            `json:"memberCount,omitempty" doc:"an import added members: load them again"`
	}
	leaver struct {
		UserID string `json:"userId"`
		Erased bool   `json:"erased,omitempty" doc:"the user is erased"`
	}
	requested struct {
		Status string `json:"status" enum:"requested"`
	}
)

// Alternatives returns values of the possible types of a [Joined].
func (Joined) Alternatives() []any { return []any{Member{}, requested{}} }
