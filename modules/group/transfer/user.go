package transfer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Traces reads all that the database keeps about one user. sqlstore.Store implements it.
type Traces interface {
	// UserTraces lists what groups keep about a user outside of their logs, by group id,
	// after the given one. It also lists groups that have the user only in their log.
	UserTraces(ctx context.Context, userID, after string, limit int) ([]Trace, error)
	// UserMessages lists a user's message.posted events by group id and version, after the
	// given ones, including deleted groups. It examines limit events of the user. It
	// returns where the next page begins, and whether there may be one.
	UserMessages(ctx context.Context, userID, groupID string, version int64, limit int) (events []group.Event, next group.Ref, more bool, err error)
}

// Trace is what one group keeps about a user.
type Trace struct {
	GroupID    string            `json:"groupId"`
	GroupName  string            `json:"groupName"`
	Deleted    bool              `json:"deleted,omitempty"`
	Member     *TracedMember     `json:"member,omitempty"`
	Request    *TracedRequest    `json:"request,omitempty"`
	Invitation *TracedInvitation `json:"invitation,omitempty"`
	Ban        *TracedBan        `json:"ban,omitempty"`
	Mute       *TracedMute       `json:"mute,omitempty"`
}

// TracedMember is the user's membership.
type TracedMember struct {
	Name        string          `json:"name,omitempty"`
	Role        group.Role      `json:"role" enum:"owner,admin,member"`
	Attributes  json.RawMessage `json:"attributes" format:"object"`
	Profile     json.RawMessage `json:"profile,omitempty" format:"object"`
	JoinedAt    time.Time       `json:"joinedAt"`
	ReadVersion int64           `json:"readVersion"`
}

// TracedRequest is the user's request to join.
type TracedRequest struct {
	Name string    `json:"name,omitempty"`
	At   time.Time `json:"at"`
}

// TracedInvitation is an invitation of the user.
type TracedInvitation struct {
	InvitedBy string    `json:"invitedBy"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// TracedBan is a ban of the user.
type TracedBan struct {
	Reason    string     `json:"reason,omitempty"`
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// TracedMute is a mute of the user.
type TracedMute struct {
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// UserMessage is the current state of a message that the user wrote.
type UserMessage struct {
	GroupID   string          `json:"groupId"`
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"`
	At        time.Time       `json:"at"`
	EditedAt  *time.Time      `json:"editedAt,omitempty"`
	DeletedAt *time.Time      `json:"deletedAt,omitempty"`
}

// exportPage is the number of rows that are read at a time. A page of messages may have
// fewer.
const exportPage = 100

// ExportUser passes all data about a user to two functions: first what groups keep, and
// then the user's messages. It reads one page at a time to save memory. It stops at the
// first error of a function.
func ExportUser(ctx context.Context, store Traces, userID string, trace func(Trace) error, message func(UserMessage) error) error {
	for after, more := "", true; more; {
		traces, err := store.UserTraces(ctx, userID, after, exportPage)
		if err != nil {
			return err
		}
		for _, t := range traces {
			after = t.GroupID
			if t.Member == nil && t.Request == nil && t.Invitation == nil && t.Ban == nil && t.Mute == nil {
				continue
			}
			if err := trace(t); err != nil {
				return err
			}
		}
		more = len(traces) > 0
	}
	for at, more := (group.Ref{}), true; more; {
		var (
			events []group.Event
			err    error
		)
		if events, at, more, err = store.UserMessages(ctx, userID, at.GroupID, at.Version, exportPage); err != nil {
			return err
		}
		for _, e := range events {
			m, err := group.DecodeMessage(e)
			if err != nil {
				m = group.Message{Data: e.Data} // export the data unchanged
			}
			of := UserMessage{GroupID: e.GroupID, Version: e.Version, Type: m.Type, Data: m.Data, At: e.At, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt}
			if err := message(of); err != nil {
				return err
			}
		}
	}
	return nil
}
