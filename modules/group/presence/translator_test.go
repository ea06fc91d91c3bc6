package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestPresenceIsTranslated has somebody come, drop, return and go because the
// program ended the subscription.
func TestPresenceIsTranslated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &wire{}
		p := New(group.Config{}, NewMemory(), out, slog.New(slog.DiscardHandler))
		p.Translate(group.Translator{Presence: func(groupID string, changes []group.PresenceChange) (pushes []group.Push) {
			for _, c := range changes {
				if c.UserID == "mistake" {
					panic("a mistake of the program")
				}
				pushes = append(pushes, group.Push{Event: "group:closed", Data: nil}, group.Push{Event: "other:event", Data: nil}, group.Push{Event: "story:" + c.Status, Data: fmt.Sprint(groupID, " ", c.UserID, " ", c.Reason, " ", c.Returned)})
			}
			return pushes
		}})
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		tell := func(do func()) []string {
			do()
			after(time.Second)
			sent := out.sent
			out.sent = nil
			return sent
		}
		ana := "ana"
		want(t, "told of a coming", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  false"`})
		want(t, "told of a drop", tell(func() { p.Unsubscribed("g", ana, group.EndDropped) }),
			[]string{"group:g group:presence", `group:g story:reconnecting "g ana dropped false"`})
		want(t, "told of a return", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  true"`})
		want(t, "told of the end", tell(func() { p.Unsubscribed("g", ana, "over") }),
			[]string{"group:g group:presence", `group:g story:offline "g ana removed false"`})
		want(t, "told of a mistake", tell(func() { p.Subscribed("g", "mistake") }),
			[]string{"group:g group:presence"})
	})
}

// wire is an emitter that keeps what it was given.
type wire struct {
	sent []string
}

// CheckEvent knows a module that has reserved other:.
func (w *wire) CheckEvent(event string) error {
	if strings.HasPrefix(event, "other:") {
		return errors.New("it belongs to another module")
	}
	return nil
}

func (w *wire) CastQueued(_ context.Context, env adapter.Envelope) {
	text := env.Room + " " + env.Event
	if env.Event != group.EventPresence {
		text += " " + string(env.Data)
	}
	w.sent = append(w.sent, text)
}
