package group

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Translator lets a program send events of its own to a group's subscribers,
// beside group:event and group:presence. Give it to [feed.Feed.Translate] and
// [presence.Tracker.Translate], or provide it in an fx program.
//
// Its functions run on every node, concurrently, and more than once for the same
// event. They must use nothing but their argument, and must not block. Each may
// be nil.
type Translator struct {
	// Event translates an event. Its pushes follow the event itself to every
	// subscriber, once and in order, as group:event promises.
	Event func(e Event) Translation
	// Presence translates changes of presence. Its pushes are sent at most once, as
	// group:presence is. Order them by the changes' At.
	Presence func(groupID string, changes []PresenceChange) []Push
}

// Translation is what a [Translator] makes of an event.
type Translation struct {
	Pushes []Push // sent to the subscribers, in this order
	// Ends, when not empty, is a reason that ends every subscription to the group.
	// Subscribers get group:closed with it. Their sockets stay open.
	Ends string
}

// Push is one event of a program's own.
type Push struct {
	Event string // an event that a module has reserved is not sent
	Data  any    // encoded as JSON, once
}

// EncodedPush is a push as it is sent.
type EncodedPush struct {
	Event string
	Data  []byte
}

// Envelope returns the push as it goes to a group's subscribers.
func (p EncodedPush) Envelope(groupID string) adapter.Envelope {
	return adapter.Envelope{Room: Room(groupID), Event: p.Event, Data: p.Data}
}

// Pushes calls make, a function of a [Translator], and encodes its pushes. It
// logs a panic, and leaves out and logs a push that cannot be sent. check returns
// an error for an event that belongs to another module.
func Pushes(make func() []Push, check func(event string) error, log *slog.Logger) []EncodedPush {
	var made []Push
	isolated(log, func() { made = make() })
	encoded := []EncodedPush(nil)
	for _, p := range made {
		if err := checkPush(p.Event, check); err != nil {
			log.Error("group: a translator cannot push this event", "event", p.Event, "err", err)
			continue
		}
		data, err := rawjson.Marshal(p.Data)
		if err != nil {
			log.Error("group: a translation cannot be encoded", "event", p.Event, "err", err)
			continue
		}
		encoded = append(encoded, EncodedPush{p.Event, data})
	}
	return encoded
}

// checkPush returns why a program cannot push an event.
func checkPush(event string, check func(event string) error) error {
	if event == "" || packet.Reserved(event) {
		return errors.New("the name is empty, or Socket.IO's own")
	}
	if err := names.CheckEvent(event); err != nil {
		return err
	}
	return check(event)
}

// isolated runs a program's function; its panic is logged.
func isolated(log *slog.Logger, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("group: a translator panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	fn()
}
