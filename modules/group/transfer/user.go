package transfer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Traces reads all that the database keeps about one user. sqlstore.Store implements it.
type Traces interface {
	// UserTraces lists what groups keep about a user beside their logs, by group id, after
	// the given one. Groups that keep nothing but their log are among them.
	UserTraces(ctx context.Context, userID, after string, limit int) ([]Trace, error)
	// UserMessages lists the events message.posted of a user, by group id and version,
	// after the given ones, deleted groups included. It looks at limit events of the user, and
	// returns where the next page begins; more: there may be one.
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

// TracedInvitation asks the user to join.
type TracedInvitation struct {
	InvitedBy string    `json:"invitedBy"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// TracedBan keeps the user out.
type TracedBan struct {
	Reason    string     `json:"reason,omitempty"`
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// TracedMute keeps the user from posting.
type TracedMute struct {
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// UserMessage is a message that the user wrote, as it is now.
type UserMessage struct {
	GroupID   string          `json:"groupId"`
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"`
	At        time.Time       `json:"at"`
	EditedAt  *time.Time      `json:"editedAt,omitempty"`
	DeletedAt *time.Time      `json:"deletedAt,omitempty"`
}

// exportPage is how many rows are read at a time. A page of messages may end earlier.
const exportPage = 100

// ExportUser passes all that is kept about a user to two functions: what groups keep, and
// then the user's messages. It reads a page at a time, so that it needs
// little memory. An error of a function ends it.
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
				m = group.Message{Data: e.Data} // as it is
			}
			of := UserMessage{GroupID: e.GroupID, Version: e.Version, Type: m.Type, Data: m.Data, At: e.At, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt}
			if err := message(of); err != nil {
				return err
			}
		}
	}
	return nil
}
