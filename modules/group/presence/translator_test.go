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

// TestPresenceIsTranslated checks the translations of a user who comes, drops, returns, and
// goes because the program ended the subscription.
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
		want(t, "pushes for a user who comes", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  false"`})
		want(t, "pushes for a user who drops", tell(func() { p.Unsubscribed("g", ana, group.EndDropped) }),
			[]string{"group:g group:presence", `group:g story:reconnecting "g ana dropped false"`})
		want(t, "pushes for a user who returns", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  true"`})
		want(t, "pushes for an ended subscription", tell(func() { p.Unsubscribed("g", ana, "over") }),
			[]string{"group:g group:presence", `group:g story:offline "g ana removed false"`})
		want(t, "pushes for a mistake of the program", tell(func() { p.Subscribed("g", "mistake") }),
			[]string{"group:g group:presence"})
	})
}

// wire is an emitter that keeps what was sent.
type wire struct {
	sent []string
}

// CheckEvent refuses events with the prefix other:, as if another module had reserved it.
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
