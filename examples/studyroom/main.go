// Command studyroom serves study rooms: a session that begins when the first
// one comes and ends at its time, and who is there. A room is one of Moim's
// groups, its leader the owner; what is left to say are the words.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
)

// A session lasts so long, unless its leader moves the end, and reminds before.
const session, remind = 50 * time.Minute, 10 * time.Minute

// clock is who starts sessions.
var clock = auth.Identity{UserID: "studyroom:clock", Admin: true}

type room struct{ GroupID string }

type joined struct {
	Members  []group.ListedMember `json:"members"` // who is there
	EndAt    *time.Time           `json:"endAt"`
	RemainMs int64                `json:"remainMs"`
	LeaderID string               `json:"leaderId"`
}

func newRooms(groups *group.Service, sockets *group.Gateway) []socket.Handler {
	// begin starts the session unless it runs: of those who come first, the
	// group's revision lets one in. Its end and reminder are part of the change.
	begin := func(ctx context.Context, g group.Group) (_ group.Group, err error) {
		for g.EndsAt == nil && err == nil {
			end := time.Now().Add(session)
			patch := group.UpdateRequest{EndsAt: &end, RemindBefore: &[]int{int(remind.Seconds())}}
			if g, err = groups.Update(ctx, clock, g.ID, &g.Revision, patch); errors.Is(err, group.ErrVersionConflict) {
				g, err = groups.Get(ctx, clock, g.ID)
			}
		}
		return g, err
	}
	join := func(ctx context.Context, s *socket.Socket, in room) (joined, error) {
		if _, err := groups.Join(ctx, s.Identity(), in.GroupID); err != nil {
			return joined{}, err
		}
		sub, err := sockets.Subscribe(ctx, s, in.GroupID, nil)
		if err != nil {
			return joined{}, err
		}
		g, err := begin(ctx, sub.Group)
		if err != nil {
			return joined{}, err
		}
		members, _, err := groups.Members(ctx, s.Identity(), g.ID, "", g.MemberCount)
		members = slices.DeleteFunc(members, func(m group.ListedMember) bool { return m.Status == "offline" })
		return joined{members, g.EndsAt, time.Until(*g.EndsAt).Milliseconds(), g.OwnerID}, err
	}
	leave := func(_ context.Context, s *socket.Socket, in room) (struct{}, error) {
		sockets.Unsubscribe(s, in.GroupID)
		return struct{}{}, nil
	}
	return []socket.Handler{socket.On("room:join", join), socket.On("room:leave", leave)}
}

// told says what a change of the group means to the room.
func told(e group.Event) group.Translation {
	name := map[group.EventType]string{
		group.GroupReminder: "room:reminder", group.GroupEnded: "room:ended", group.OwnerTransferred: "room:participantsChanged",
	}[e.Type]
	if e.Type == group.GroupUpdated && *e.Actor == clock.UserID {
		name = "room:started"
	}
	if name == "" {
		return group.Translation{}
	}
	data := map[string]any{}
	_ = json.Unmarshal(e.Data, &data) // an object, always
	data["groupId"], data["version"] = e.GroupID, e.Version
	t := group.Translation{Pushes: []group.Push{{Event: name, Data: data}}}
	if e.Type == group.GroupEnded {
		t.Ends = "ended"
	}
	return t
}

func main() {
	cfg, err := config.Load(config.Options{Environ: os.Environ()})
	if err == nil {
		err = app.Serve(cfg, app.WithModule(
			fx.Supply(group.Translator{Event: told}), fx.Provide(socket.AsHandlers(newRooms))))
	}
	if err != nil {
		slog.Error("studyroom: stopped", "err", err)
		os.Exit(1)
	}
}
