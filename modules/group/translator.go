package group

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// Translator lets a program tell a group's subscribers what happens in events
// of its own, beside group:event and group:presence. Give it to
// [Feed.Translate] and [Presence.Translate]; in an fx program, provide it.
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

	check func(event string) error // of other modules; set by sendingBy
}

// sendingBy returns t for pushes that go out through out.
func (t Translator) sendingBy(out Emitter) Translator {
	t.check = out.CheckEvent
	return t
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

// pushed is a push as it is sent.
type pushed struct {
	event string
	data  []byte
}

// event adds to a new item what the program makes of it. A program's mistake
// costs what it adds, nothing else.
func (t Translator) event(it *item, log *slog.Logger) *item {
	if t.Event == nil {
		return it
	}
	var e Event
	if err := json.Unmarshal(it.wire, &e); err != nil {
		log.Error("group: an event cannot be translated", "group", it.groupID, "version", it.version, "err", err)
		return it
	}
	var made Translation
	isolated(log, func() { made = t.Event(e) })
	it.pushes, it.closes = t.encode(made.Pushes, log), made.Ends
	return it
}

// presence returns what the program makes of changes of who is there.
func (t Translator) presence(groupID string, changes []PresenceChange, log *slog.Logger) []pushed {
	if t.Presence == nil {
		return nil
	}
	var made []Push
	isolated(log, func() { made = t.Presence(groupID, changes) })
	return t.encode(made, log)
}

func (t Translator) encode(pushes []Push, log *slog.Logger) []pushed {
	encoded := make([]pushed, 0, len(pushes))
	for _, p := range pushes {
		if err := t.checkPush(p.Event); err != nil {
			log.Error("group: a program cannot push this event", "event", p.Event, "err", err)
			continue
		}
		data, err := marshal(p.Data)
		if err != nil {
			log.Error("group: a translation cannot be encoded", "event", p.Event, "err", err)
			continue
		}
		encoded = append(encoded, pushed{p.Event, data})
	}
	return encoded
}

// checkPush returns why a program cannot push an event.
func (t Translator) checkPush(event string) error {
	if event == "" || packet.Reserved(event) {
		return errors.New("the name is empty, or Socket.IO's own")
	}
	if err := names.CheckEvent(event); err != nil {
		return err
	}
	return t.check(event)
}

// envelope returns the push as it goes to a group's subscribers.
func (p pushed) envelope(room string) adapter.Envelope {
	return adapter.Envelope{Room: room, Event: p.event, Data: p.data}
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
