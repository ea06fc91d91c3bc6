package group

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// Translator lets a program tell a group's subscribers what happens in events
// of its own, beside group:event and group:presence. Give it to
// [feed.Feed.Translate] and [presence.Tracker.Translate]; in an fx program, provide it.
//
// Its functions run on every node and may be called concurrently and again for
// the same thing: they use nothing but their argument, and do not block. Each
// may be nil.
type Translator struct {
	// Event says what an event means to the program. What it returns shares the
	// promise of group:event: it follows the event itself, to every subscriber,
	// once, in order.
	Event func(e Event) Translation
	// Presence says what changes of who is there mean to the program. What it
	// returns is sent on every node, at most once, as group:presence is; order it by
	// the changes' At.
	Presence func(groupID string, changes []PresenceChange) []Push
}

// Translation is what a [Translator] makes of an event.
type Translation struct {
	Pushes []Push // sent to the subscribers, in this order
	// Ends, when not empty, ends every subscription to the group: group:closed
	// follows with this reason. The sockets stay open.
	Ends string
}

// Push is one event of a program's own.
type Push struct {
	Event string // of the program's; one that a module has reserved is not sent
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

// Pushes calls make, a function of a [Translator], and encodes what it returns.
// A panic and a push that cannot be sent cost nothing but themselves; log says
// so. check returns an error for an event that belongs to another module.
func Pushes(make func() []Push, check func(event string) error, log *slog.Logger) []EncodedPush {
	var made []Push
	isolated(log, func() { made = make() })
	encoded := []EncodedPush(nil)
	for _, p := range made {
		if err := checkPush(p.Event, check); err != nil {
			log.Error("group: a program cannot push this event", "event", p.Event, "err", err)
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
