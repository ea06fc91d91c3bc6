package group

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// item is one event on its way to subscribers. It is encoded once, for all of
// them. Nothing but its frames changes once it is made; those belong to the one
// goroutine that sends for the item's topic.
type item struct {
	groupID string
	version int64
	typ     EventType
	wire    []byte // the Event as JSON

	pushes []pushed // what the program makes of it
	closes string   // why every subscription ends with it: the program's word

	messages []*adapter.Message // the event and its pushes; nil before the first is sent
}

func newItem(e Event) (*item, error) {
	wire, err := marshal(e)
	return &item{groupID: e.GroupID, version: e.Version, typ: e.Type, wire: wire}, err
}

// send sends events, and what the program makes of them, to sockets. It may run
// in one goroutine at a time.
func send(items []*item, sockets ...adapter.Socket) {
	messages := items[0].encoded()
	for _, it := range items[1:] {
		messages = append(slices.Clip(messages), it.encoded()...)
	}
	adapter.Send(messages, sockets...)
}

func (it *item) encoded() []*adapter.Message {
	if it.messages == nil {
		it.messages = append(it.messages, adapter.NewMessage(it.envelope()))
		for _, p := range it.pushes {
			it.messages = append(it.messages, adapter.NewMessage(p.envelope(Room(it.groupID))))
		}
	}
	return it.messages
}

// envelope returns the item as it travels to other nodes. Version and type
// stand in Meta, so that a receiving node decodes nothing.
func (it *item) envelope() adapter.Envelope {
	return adapter.Envelope{
		Room:  Room(it.groupID),
		Event: eventPushed,
		Data:  it.wire,
		Meta:  strconv.FormatInt(it.version, 10) + " " + string(it.typ),
	}
}

func parseItem(env adapter.Envelope) (*item, error) {
	groupID, isGroup := strings.CutPrefix(env.Room, roomPrefix)
	version, typ, found := strings.Cut(env.Meta, " ")
	v, err := strconv.ParseInt(version, 10, 64)
	if !isGroup || !found || err != nil || v < 1 {
		return nil, fmt.Errorf("envelope of room %q with meta %q", env.Room, env.Meta)
	}
	return &item{groupID: groupID, version: v, typ: EventType(typ), wire: env.Data}, nil
}

// subject returns the user that a member.* event is about.
func (it *item) subject() string {
	var e struct {
		Data struct {
			UserID string `json:"userId"`
		} `json:"data"`
	}
	if json.Unmarshal(it.wire, &e) != nil {
		return ""
	}
	return e.Data.UserID
}

// ends returns why this event ends subscriptions, and whose: everybody's when
// user is empty. An event that ends none has no reason.
func (it *item) ends() (user, reason string) {
	switch {
	case it.typ == GroupDeleted:
		return "", endDeleted
	case it.closes != "":
		return "", it.closes
	}
	switch it.typ {
	case MemberLeft:
		return it.subject(), endLeft
	case MemberRemoved:
		return it.subject(), endRemoved
	case MemberBanned:
		return it.subject(), endBanned
	default:
		return "", ""
	}
}
