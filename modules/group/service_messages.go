package group

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// MessageList is the part of a [Repository] that lists messages.
type MessageList interface {
	// Messages lists the message.posted events in a group's log, newest first, before the
	// given version.
	Messages(ctx context.Context, groupID string, before int64, limit int) ([]Event, error)
}

// EventTx is the part of a [Tx] that replaces the data of events in the log. It does not
// find events that this transaction has appended.
type EventTx interface {
	// Event returns an event, or nil if it is not in the log. No other transaction can
	// change or remove the event until this one ends.
	Event(ctx context.Context, version int64) (*Event, error)
	// SetData replaces the data of an event for later readers of the log. It fails if the
	// event is not in the log.
	SetData(ctx context.Context, version int64, data json.RawMessage) error
	// Uncount subtracts a deleted message from the unread messages of members who have not
	// read up to it.
	Uncount(ctx context.Context, version int64) error
}

// Message is the current state of a message.
type Message struct {
	Version   int64           `json:"version" doc:"version of the event message.posted, which names the message"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data" doc:"any JSON value; null if the message is deleted"`
	Actor     *string         `json:"actor" doc:"user id of the author"`
	At        time.Time       `json:"at" doc:"when it was posted"`
	EditedAt  *time.Time      `json:"editedAt,omitempty" doc:"when it was edited last; absent if it is not edited, or deleted"`
	DeletedAt *time.Time      `json:"deletedAt,omitempty" doc:"when it was deleted; absent if it is not"`
}

// posted is the data of message.posted in the log.
type posted struct {
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"` // null if deletedAt is set: the message was deleted
	EditedAt  *time.Time      `json:"editedAt,omitempty"`
	EditedIn  int64           `json:"editedIn,omitempty"` // version of the last message.edited
	DeletedAt *time.Time      `json:"deletedAt,omitempty"`
}

// edited is the data of message.edited.
type edited struct {
	Version    int64           `json:"version"`              // of the message
	Data       json.RawMessage `json:"data"`                 // null if replacedIn is set: the text was replaced
	ReplacedIn int64           `json:"replacedIn,omitempty"` // version of the next edit, or of the deletion
}

// deleted is the data of message.deleted.
type deleted struct {
	Version int64 `json:"version"` // of the message
}

// Messages lists at most limit messages, newest first, before the given version. If before
// is 0, it begins with the newest. There are more if it returns limit messages, or
// [ListBytes].
func (s *Service) Messages(ctx context.Context, caller auth.Identity, groupID string, before int64, limit int) ([]Message, error) {
	if before < 0 {
		return nil, fault.Validation(fault.Field{Field: "before", Message: "must not be negative"})
	}
	if before == 0 {
		before = math.MaxInt64
	}
	if err := s.list(ctx, actRead, caller, groupID); err != nil {
		return nil, err
	}
	events, err := s.repo.Messages(ctx, groupID, before, limit)
	if err != nil {
		return nil, Hide(err)
	}
	messages := make([]Message, len(events))
	for i, e := range events {
		if messages[i], err = DecodeMessage(e); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// EditMessage replaces the data of a message. version is the version of its event. Its
// author, admins and back ends may do so. Later readers of the log get only the new data.
// EditMessage returns fault.ErrNotFound if the message is deleted or not in the log, and
// for an event of another type.
func (s *Service) EditMessage(ctx context.Context, caller auth.Identity, groupID string, version int64, req dto.EditMessageRequest) (Event, error) {
	req, err := req.Validate()
	if err != nil {
		return Event{}, err
	}
	data, err := rawjson.Marshal(edited{Version: version, Data: req.Data})
	if err != nil {
		return Event{}, fmt.Errorf("encode an edit: %w", err)
	}
	if err := s.chargeMessage(caller, groupID, len(data)); err != nil {
		return Event{}, err
	}
	var edit Event
	about := s.inquire(caller, AskMessage, groupID, nil)
	err = s.change(ctx, actEditMessage, caller, groupID, asked{what: fmt.Sprint("edit ", version), with: req, answer: &edit, about: about}, func(tx Tx, self *Member) error {
		m, err := readMessage(ctx, tx, caller, self, version)
		if err != nil {
			return err
		}
		if err := about.dueWith(editing{Type: m.Type, Data: req.Data, Version: version}); err != nil {
			return err
		}
		edit, err = tx.Append(ctx, MessageEdited, caller.UserID, data)
		if err != nil {
			return err
		}
		edit.Data = nil // not in the receipt: a repeat of the request contains the same
		return m.replace(ctx, tx, version, edit.Version, posted{Type: m.Type, Data: req.Data, EditedAt: &edit.At, EditedIn: edit.Version})
	})
	if err != nil {
		return Event{}, err
	}
	edit.Data = data
	return edit, nil
}

// DeleteMessage deletes a message. The event stays in the log without the message's data.
// Permissions and errors are those of [Service.EditMessage].
func (s *Service) DeleteMessage(ctx context.Context, caller auth.Identity, groupID string, version int64) (Event, error) {
	var deletion Event
	err := s.change(ctx, actDeleteMessage, caller, groupID, asked{what: fmt.Sprint("delete ", version), answer: &deletion}, func(tx Tx, self *Member) error {
		m, err := readMessage(ctx, tx, caller, self, version)
		if err != nil {
			return err
		}
		deletion, err = tx.Append(ctx, MessageDeleted, caller.UserID, deleted{Version: version})
		if err != nil {
			return err
		}
		if err := tx.Uncount(ctx, version); err != nil {
			return err
		}
		return m.replace(ctx, tx, version, deletion.Version, posted{Type: m.Type, DeletedAt: &deletion.At})
	})
	return deletion, err
}

var errNoMessage = fault.ErrNotFound.WithMessage("there is no such message in this group, or it is deleted")

// readMessage returns a message and checks that the caller, whose membership is self, may
// change it.
func readMessage(ctx context.Context, tx EventTx, caller auth.Identity, self *Member, version int64) (m posted, err error) {
	e, err := tx.Event(ctx, version)
	switch {
	case err != nil:
		return m, err
	case e == nil || e.Type != MessagePosted:
		return m, errNoMessage
	}
	if m, err = postedIn(*e); err != nil {
		return m, err
	}
	if m.DeletedAt != nil {
		return m, errNoMessage
	}
	return m, allowMessage(caller, self, e.Actor)
}

// postedIn decodes the data of message.posted.
func postedIn(e Event) (m posted, err error) {
	if err := json.Unmarshal(e.Data, &m); err != nil {
		return m, fmt.Errorf("decode message %d of group %s: %w", e.Version, e.GroupID, err)
	}
	return m, nil
}

// replace stores now as the message at version. by is the version of the edit or delete
// event. The previous edit loses its data, so that the log has only the current data.
func (m posted) replace(ctx context.Context, tx EventTx, version, by int64, now posted) error {
	if m.EditedIn != 0 {
		if err := setData(ctx, tx, m.EditedIn, edited{Version: version, ReplacedIn: by}); err != nil {
			return err
		}
	}
	return setData(ctx, tx, version, now)
}

func setData(ctx context.Context, tx EventTx, version int64, data any) error {
	raw, err := rawjson.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode the data of event %d: %w", version, err)
	}
	return tx.SetData(ctx, version, raw)
}
