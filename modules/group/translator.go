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

// Translator lets a program send its own events to a group's subscribers, in addition to
// group:event and group:presence. Pass it to [feed.Feed.Translate] and
// [presence.Tracker.Translate], or provide it in an fx program.
//
// Its functions run on every node, concurrently, and more than once for the same event.
// They must depend only on their arguments, and must not block. Each may be nil.
type Translator struct {
	// Event translates an event. Its pushes are sent after the event to every subscriber,
	// once and in order, with the guarantees of group:event.
	Event func(e Event) Translation
	// Presence translates changes of presence. Its pushes are sent at most once, like
	// group:presence. Receivers order them by the At of the changes.
	Presence func(groupID string, changes []PresenceChange) []Push
}

// Translation is the result of translating an event.
type Translation struct {
	Pushes []Push // sent to the subscribers, in this order
	// Ends, if not empty, is a reason to end every subscription to the group. Subscribers
	// get group:closed with this reason. Their sockets stay open.
	Ends string
}

// Push is one event of a program.
type Push struct {
	Event string // a name that a module has reserved is not sent
	Data  any    // encoded as JSON, once
}

// EncodedPush is an encoded [Push].
type EncodedPush struct {
	Event string
	Data  []byte
}

// Envelope returns an envelope that sends the push to a group's subscribers.
func (p EncodedPush) Envelope(groupID string) adapter.Envelope {
	return adapter.Envelope{Room: Room(groupID), Event: p.Event, Data: p.Data}
}

// Pushes calls make, a function of a [Translator], and encodes its pushes. It logs a panic.
// It logs and leaves out a push that cannot be sent. check returns an error for an event
// that belongs to another module.
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

// checkPush returns why a program cannot send an event, or nil.
func checkPush(event string, check func(event string) error) error {
	if event == "" || packet.Reserved(event) {
		return errors.New("the name is empty, or Socket.IO's own")
	}
	if err := names.CheckEvent(event); err != nil {
		return err
	}
	return check(event)
}

// isolated runs a program's function and logs a panic.
func isolated(log *slog.Logger, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("group: a translator panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	fn()
}
