package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// item is one event on its way to subscribers, encoded once for all of them. Only messages
// changes after its creation, by the goroutine that sends for the topic.
type item struct {
	groupID string
	version int64
	typ     group.EventType
	wire    []byte // the Event as JSON

	trace string // traceparent of the change; empty if it is not traced

	pushes []group.EncodedPush // of the program's translator
	closes string              // if not empty, the translator ends all subscriptions for this reason

	messages []*adapter.Message // the event and its pushes; built when the first is sent
}

func newItem(e group.Event) (*item, error) {
	wire, err := rawjson.Marshal(e)
	return &item{groupID: e.GroupID, version: e.Version, typ: e.Type, wire: wire}, err
}

// translated adds the program's translation to a new item.
func (f *Feed) translated(it *item) *item {
	if f.program.Event == nil {
		return it
	}
	var e group.Event
	if err := json.Unmarshal(it.wire, &e); err != nil {
		f.logger.Error("group: cannot translate an event", "group", it.groupID, "version", it.version, "err", err)
		return it
	}
	it.pushes = group.Pushes(func() []group.Push {
		made := f.program.Event(e)
		it.closes = made.Ends
		return made.Pushes
	}, f.out.CheckEvent, f.logger)
	return it
}

// send sends events and their translations to sockets. Only one goroutine at a time may
// send the items of a topic.
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
			it.messages = append(it.messages, adapter.NewMessage(p.Envelope(it.groupID)))
		}
	}
	return it.messages
}

// envelope returns the item as an envelope for other nodes. Meta has the version and the
// type, so that the receiver need not decode the data.
func (it *item) envelope() adapter.Envelope {
	return adapter.Envelope{
		Room:  group.Room(it.groupID),
		Event: group.EventPushed,
		Data:  it.wire,
		Meta:  strconv.FormatInt(it.version, 10) + " " + string(it.typ),
		Trace: it.trace,
	}
}

func parseItem(env adapter.Envelope) (*item, error) {
	groupID, isGroup := group.OfRoom(env.Room)
	version, typ, found := strings.Cut(env.Meta, " ")
	v, err := strconv.ParseInt(version, 10, 64)
	if !isGroup || !found || err != nil || v < 1 {
		return nil, fmt.Errorf("envelope of room %q with meta %q", env.Room, env.Meta)
	}
	return &item{groupID: groupID, version: v, typ: group.EventType(typ), wire: env.Data, trace: env.Trace}, nil
}

// subject returns the id of the user that a member.* event is about.
func (it *item) subject() string { return it.users().UserID }

// eventUsers are the user ids in the data of an event; empty where there is none.
type eventUsers struct{ UserID, OwnerID, From, To string }

func (it *item) users() eventUsers {
	var e struct {
		Data eventUsers `json:"data"`
	}
	if json.Unmarshal(it.wire, &e) != nil {
		return eventUsers{}
	}
	return e.Data
}

// changesPosting reports whether a group.updated event changes who may post.
func (it *item) changesPosting() bool {
	if !bytes.Contains(it.wire, []byte(`"posting":`)) {
		return false
	}
	var e struct {
		Data struct {
			Posting json.RawMessage `json:"posting"`
		} `json:"data"`
	}
	return json.Unmarshal(it.wire, &e) != nil || e.Data.Posting != nil
}

// ends returns the reason for which this event ends subscriptions, and whose: those of
// user, or all if user is empty. The reason is empty if the event ends none.
func (it *item) ends() (user, reason string) {
	switch {
	case it.typ == group.GroupDeleted:
		return "", group.EndDeleted
	case it.closes != "":
		return "", it.closes
	}
	switch it.typ {
	case group.MemberLeft:
		reason = group.EndLeft
	case group.MemberRemoved:
		reason = group.EndRemoved
	case group.MemberBanned:
		reason = group.EndBanned
	default:
		return "", ""
	}
	if user = it.subject(); user == "" { // the member was erased: the event has no user id any more
		return "", ""
	}
	return user, reason
}
