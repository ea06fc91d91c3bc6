// Command studyroom serves study rooms. A session starts when the first
// participant joins and ends on time, and everybody sees who is present. A room
// is a Moim group, and its leader is the owner. This program only adds events in
// its own words.
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
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket"
)

// session is the length of a session, unless the leader changes its end. remind
// is how long before the end the reminder is sent.
const session, remind = 50 * time.Minute, 10 * time.Minute

var starter = auth.Identity{UserID: "studyroom:starter", Admin: true}

type room struct{ GroupID string }

type data = map[string]any // as JSON

func newRooms(groups *group.Service, sockets *api.Gateway) []socket.Handler {
	// start starts the session if it is not running. If several users join first
	// at once, the revision check lets one of them start it. The same change sets
	// the end and the reminder.
	start := func(ctx context.Context, g group.Group) (_ group.Group, err error) {
		id := g.ID
		for g.EndsAt == nil && err == nil {
			end := time.Now().Add(session)
			patch := dto.UpdateRequest{EndsAt: &end, RemindBefore: &[]int{int(remind.Seconds())}}
			if g, err = groups.Update(ctx, starter, id, &g.Revision, patch); errors.Is(err, group.ErrVersionConflict) {
				g, err = groups.Get(ctx, starter, id)
			}
		}
		return g, err
	}
	join := func(ctx context.Context, s *socket.Socket, in room) (data, error) {
		if _, err := groups.Join(ctx, s.Identity(), in.GroupID); err != nil {
			return nil, err
		}
		sub, err := sockets.Subscribe(ctx, s, in.GroupID, nil)
		if err != nil {
			return nil, err
		}
		g, err := start(ctx, sub.Group)
		if err != nil {
			sockets.Unsubscribe(s, in.GroupID)
			return nil, err
		}
		members, _, err := groups.Members(ctx, s.Identity(), g.ID, "", g.MemberCount)
		members = slices.DeleteFunc(members, func(m group.ListedMember) bool { return m.Status == group.StatusOffline })
		return data{"members": members, "endAt": g.EndsAt, "remainMs": time.Until(*g.EndsAt).Milliseconds(), "leaderId": g.OwnerID}, err
	}
	leave := func(_ context.Context, s *socket.Socket, in room) (struct{}, error) {
		sockets.Unsubscribe(s, in.GroupID)
		return struct{}{}, nil
	}
	return []socket.Handler{socket.On("room:join", join), socket.On("room:leave", leave)}
}

// happened translates an event of the group to events of the room.
func happened(e group.Event) group.Translation {
	said := data{}
	_ = json.Unmarshal(e.Data, &said) // always an object
	said["groupId"], said["version"] = e.GroupID, e.Version
	say := func(event, ends string) group.Translation {
		return group.Translation{Pushes: []group.Push{{Event: event, Data: said}}, Ends: ends}
	}
	switch {
	case e.Type == group.GroupUpdated && *e.Actor == starter.UserID:
		said["endAt"] = said["endsAt"]
		return say("room:started", "")
	case e.Type == group.GroupReminder:
		return say("room:reminder", "")
	case e.Type == group.GroupEnded:
		return say("room:ended", "ended")
	case e.Type == group.OwnerTransferred:
		said["leaderId"] = said["to"]
		return say("room:participantsChanged", "")
	}
	return group.Translation{}
}

// moved translates changes of presence to events of the room.
func moved(groupID string, changes []group.PresenceChange) (pushes []group.Push) {
	for _, c := range changes {
		event := "room:participantsChanged"
		if c.Status == group.StatusReconnecting {
			event = "room:participantReconnecting"
		} else if c.Returned {
			event = "room:participantReconnected"
		}
		pushes = append(pushes, group.Push{Event: event, Data: data{
			"groupId": groupID, "userId": c.UserID, "status": c.Status, "reason": c.Reason, "at": c.At,
		}})
	}
	return pushes
}

func main() {
	cfg, err := config.Load(config.Options{Environ: os.Environ()})
	if err == nil {
		err = app.Serve(cfg, app.WithModule(fx.Supply(group.Translator{Event: happened, Presence: moved}), fx.Provide(socket.AsHandlers(newRooms))))
	}
	if err != nil {
		slog.Error("studyroom: stopped", "err", err)
		os.Exit(1)
	}
}
