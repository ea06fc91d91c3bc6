package api

import (
	"reflect"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
)

// Pushes returns the events that the group module sends to clients.
func (*Gateway) Pushes() []socket.Event {
	return []socket.Event{
		{Name: group.EventPushed, About: "An event of a group, to each subscriber, in order, once", Data: reflect.TypeFor[group.Event]()},
		{Name: group.EventClosed, About: "A subscription ended; the socket stays open", Data: reflect.TypeFor[group.Closed]()},
		{Name: group.EventSignal, About: "A signal, at most once", Data: reflect.TypeFor[group.SentSignal]()},
		{Name: group.EventPresence, About: "Changes of presence, at most once", Data: reflect.TypeFor[group.PresenceNews]()},
		{Name: group.EventRead, About: "How far members have read, if the group has readReceipts", Data: reflect.TypeFor[group.ReadNews]()},
		{Name: group.EventMine, About: "The list of the user's groups changed, at most once; to sockets that sent group:mine", Data: reflect.TypeFor[group.MineNews]()},
		{Name: group.EventExpiring, About: "The token of the socket expires soon: send auth", Data: reflect.TypeFor[renewed]()},
	}
}
