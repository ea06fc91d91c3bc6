package group

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Blank returns a function that removes a user's data from events.
func (s *Service) Blank(userID string) Blank { return blanker{userID, s.instant()}.blank }

// blanker removes a user's data from events.
type blanker struct {
	userID string
	at     time.Time // deletion time of the user's messages
}

// blank returns the data of an event without the user, or nil if the event does not concern
// the user. The user's messages become deleted messages. Member events lose all data that
// identifies the user.
func (b blanker) blank(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	mine := e.Actor != nil && *e.Actor == b.userID
	switch {
	case e.Type == MessagePosted && mine:
		return b.message(ctx, tx, e)
	case e.Type == MessageEdited && mine:
		return b.edit(ctx, tx, e)
	case e.Type == MessagePosted || e.Type == MessageEdited:
		return nil, nil // the text is by another user
	}
	data, err := b.data(e, mine)
	if data == nil && mine {
		data = e.Data
	}
	return data, err
}

// message blanks a message of the user and the last edit of it, whoever made the edit.
func (b blanker) message(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	m, err := postedIn(e)
	if err != nil {
		m = posted{} // the data cannot be decoded, but it is the user's
	}
	if m.DeletedAt != nil {
		return e.Data, nil
	}
	if m.EditedIn != 0 {
		if err := setData(ctx, tx, m.EditedIn, edited{Version: e.Version, ReplacedIn: m.EditedIn}); err != nil {
			return nil, err
		}
	}
	return rawjson.Marshal(posted{Type: m.Type, DeletedAt: &b.at})
}

// edit blanks an edit by the user. If it is the last edit of another user's message, that
// message has the user's text, so it is blanked, too.
func (b blanker) edit(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	var last edited
	if json.Unmarshal(e.Data, &last) != nil {
		last = edited{} // the data cannot be decoded, but it is the user's
	}
	if last.ReplacedIn != 0 {
		return e.Data, nil
	}
	of, err := tx.Event(ctx, last.Version)
	if err != nil {
		return nil, err
	}
	if of != nil && of.Type == MessagePosted { // nil if it is not in the log any more
		if m, err := postedIn(*of); err == nil && m.DeletedAt == nil && m.EditedIn == e.Version {
			if err := tx.Uncount(ctx, last.Version); err != nil {
				return nil, err
			}
			if err := setData(ctx, tx, last.Version, posted{Type: m.Type, DeletedAt: &b.at}); err != nil {
				return nil, err
			}
		}
	}
	return rawjson.Marshal(edited{Version: last.Version, ReplacedIn: e.Version})
}

// data blanks other events, which have users' ids in fields of an object. mine means that
// the user caused the event.
func (b blanker) data(e Event, mine bool) ([]byte, error) {
	var fields map[string]json.RawMessage // nil if it is not an object; then it has no ids
	_ = json.Unmarshal(e.Data, &fields)
	changed := false
	for _, name := range []string{"ownerId", "from", "to"} {
		if b.is(fields[name]) {
			fields[name], changed = json.RawMessage("null"), true
		}
	}
	switch {
	case b.is(fields["userId"]):
		about := map[string]json.RawMessage{"userId": json.RawMessage("null")}
		if erased, there := fields["erased"]; there {
			about["erased"] = erased
		}
		return rawjson.Marshal(about)
	case mine && e.Type == MemberBanned && fields["reason"] != nil:
		delete(fields, "reason") // text by the user
		changed = true
	}
	if !changed {
		return nil, nil
	}
	return rawjson.Marshal(fields)
}

// is reports whether a field holds the user's id.
func (b blanker) is(field json.RawMessage) bool {
	var id string
	return field != nil && json.Unmarshal(field, &id) == nil && id == b.userID
}
