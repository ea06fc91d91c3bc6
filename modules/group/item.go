package group

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// item is one event on its way to subscribers, encoded once.
type item struct {
	groupID string
	version int64
	typ     EventType
	wire    []byte // the Event as JSON

	pushes []pushed // what the program makes of it
	closes string   // why every subscription ends with it: the program's word
}

func newItem(e Event) (item, error) {
	wire, err := marshal(e)
	return item{groupID: e.GroupID, version: e.Version, typ: e.Type, wire: wire}, err
}

// envelope returns the item as it travels to other nodes. Version and type
// stand in Meta, so that a receiving node decodes nothing.
func (it item) envelope() adapter.Envelope {
	return adapter.Envelope{
		Room:  Room(it.groupID),
		Event: eventPushed,
		Data:  it.wire,
		Meta:  strconv.FormatInt(it.version, 10) + " " + string(it.typ),
	}
}

func parseItem(env adapter.Envelope) (item, error) {
	groupID, isGroup := strings.CutPrefix(env.Room, roomPrefix)
	version, typ, found := strings.Cut(env.Meta, " ")
	v, err := strconv.ParseInt(version, 10, 64)
	if !isGroup || !found || err != nil || v < 1 {
		return item{}, fmt.Errorf("envelope of room %q with meta %q", env.Room, env.Meta)
	}
	return item{groupID: groupID, version: v, typ: EventType(typ), wire: env.Data}, nil
}

// subject returns the user that a member.* event is about.
func (it item) subject() string {
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
func (it item) ends() (user, reason string) {
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
