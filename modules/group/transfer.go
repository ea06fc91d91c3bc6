package group

import (
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// EncodeMessage returns the data of a message.posted event for a message from another
// system. A nil editedAt means that the message was not edited.
func EncodeMessage(typ string, data json.RawMessage, editedAt *time.Time) (json.RawMessage, error) {
	return rawjson.Marshal(posted{Type: typ, Data: data, EditedAt: editedAt})
}

// DecodeMessage returns the message in a message.posted event.
func DecodeMessage(e Event) (Message, error) {
	m, err := postedIn(e)
	return Message{Version: e.Version, Type: m.Type, Data: m.Data, Actor: e.Actor, At: e.At, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt}, err
}
