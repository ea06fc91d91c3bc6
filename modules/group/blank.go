package group

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// blanker removes a user from the data of events.
type blanker struct {
	userID string
	at     time.Time // when messages count as deleted
}

// blank returns what an event's data is without the user, nil for an event that does not
// concern them. Messages become as deleted ones, and members lose all that says who they
// were.
func (b blanker) blank(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	mine := e.Actor != nil && *e.Actor == b.userID
	switch {
	case e.Type == MessagePosted && mine:
		return b.message(ctx, tx, e)
	case e.Type == MessageEdited && mine:
		return b.edit(ctx, tx, e)
	case e.Type == MessagePosted || e.Type == MessageEdited:
		return nil, nil // another user's: they said it
	}
	data, err := b.data(e, mine)
	if data == nil && mine {
		data = e.Data
	}
	return data, err
}

// message blanks a message of the user, and the last edit of it, whoever made that.
func (b blanker) message(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	m, err := postedIn(e)
	if err != nil {
		m = posted{} // whatever it says, it is theirs
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

// edit blanks an edit by the user. If it is the last one of another user's message, that
// message holds the user's text, and is blanked, too.
func (b blanker) edit(ctx context.Context, tx EventTx, e Event) ([]byte, error) {
	var last edited
	if json.Unmarshal(e.Data, &last) != nil {
		last = edited{} // whatever it says, it is theirs
	}
	if last.ReplacedIn != 0 {
		return e.Data, nil
	}
	of, err := tx.Event(ctx, last.Version)
	if err != nil {
		return nil, err
	}
	if of != nil && of.Type == MessagePosted { // nil: the log does not reach back to it
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

// data blanks the other events, which name users in fields of an object. mine: it is the
// user who caused the event.
func (b blanker) data(e Event, mine bool) ([]byte, error) {
	var fields map[string]json.RawMessage // nil: nobody is named in what is no object
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
		delete(fields, "reason") // the user's text
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
