package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Gateway serves groups over sockets. It reads requests, calls the [group.Service] and the
// [feed.Feed], and returns their answers. The answers are the same as over HTTP; {} stands
// for an empty body.
type Gateway struct {
	service *group.Service
	feed    *feed.Feed
	own     *adapter.Owner
}

// NewGateway returns a gateway. own comes from [group.Reserve]. Pass the gateway's handlers
// to a socket.Gateway.
func NewGateway(service *group.Service, feed *feed.Feed, own *adapter.Owner) *Gateway {
	return &Gateway{service: service, feed: feed, own: own}
}

// follower returns s in the form that the feed needs.
func (g *Gateway) follower(s *socket.Socket) follower { return follower{socket.ForModule(g.own, s)} }

// subscribeAnswer is the answer to group:subscribe.
type subscribeAnswer struct {
	Group    group.Group            `json:"group"`
	Version  int64                  `json:"version" doc:"where the subscription begins: every later event follows"`
	Presence *group.PresenceSummary `json:"presence"`
	Snapshot bool                   `json:"snapshot,omitempty" doc:"the log does not reach back to since: start again from group"`
}

// done is the answer {}, where HTTP has no body.
type done struct{}

// Handlers returns the handlers of all group events that clients send, and one that ends
// the subscriptions of a closed socket.
func (g *Gateway) Handlers() []socket.Handler {
	return socket.ModuleHandlers(g.own,
		socket.On("group:subscribe", g.subscribe).Describe("Receive every event of a group after this answer, missed ones first"),
		socket.On("group:unsubscribe", g.unsubscribe).Describe("Receive no more of a group"),
		socket.On("group:create", g.create).Describe("Create a group that the caller owns"),
		socket.On("group:update", g.update).Describe("Change a group with a JSON merge patch (RFC 7396)"),
		socket.On("group:delete", g.remove).Describe("Delete a group"),
		socket.On("group:join", g.join).Describe("Join a group, or request to join it"),
		socket.On("group:leave", g.leave).Describe("Leave a group"),
		socket.On("group:message", g.message).Describe("Post a message, which becomes an event"),
		socket.On("group:message:edit", g.editMessage).Describe("Replace the data of a message, also in the log"),
		socket.On("group:message:delete", g.deleteMessage).Describe("Delete a message, also from the log"),
		socket.On("group:signal", g.signal).Describe("Send a signal to subscribers; it is not stored"),
		socket.On("group:read", g.read).Describe("Move the caller's read mark forward"),
		socket.On("group:mine", g.mine).Describe("Be told when the list of the caller's groups changes"),
		socket.On("presence:set", g.setPresence).Describe("Set the live state of the caller in a group"),
		socket.On("auth", g.renew).Describe("Give the socket a new token of the same user, before the old one expires"),
		socket.OnExpiring(g.expiring),
		socket.OnDisconnect(g.gone),
	)
}

// Subscribe subscribes s to a group, like the event group:subscribe. ctx must be the
// context of a handler of s. Every event after the answer's version is sent after the
// handler's own answer. If since is not nil, the events that s missed since then are sent
// first. Subscribe returns ErrNotMember and fault.ErrNotFound according to the permission
// table, and fault.ErrUnavailable while the log cannot be read.
func (g *Gateway) Subscribe(ctx context.Context, s *socket.Socket, groupID string, since *int64) (feed.Subscription, error) {
	if !dto.ValidGroupID(groupID) {
		return feed.Subscription{}, fault.ErrNotFound
	}
	caller := s.Identity()
	sub, err := g.feed.Subscribe(ctx, g.follower(s), feed.SubscribeRequest{
		GroupID: groupID,
		Since:   since,
		Backend: caller.Admin,
		Admit:   group.Admit(caller),
		Signals: group.MaySignal(caller),
	})
	if err != nil {
		return feed.Subscription{}, group.Hide(err)
	}
	socket.After(ctx, func() { g.feed.Release(g.follower(s), groupID) })
	return sub, nil
}

// Unsubscribe ends a subscription, if there is one. Presence then shows the user as gone.
func (g *Gateway) Unsubscribe(s *socket.Socket, groupID string) {
	g.feed.Unsubscribe(g.follower(s), groupID, group.EndUnsubscribed)
}

func (g *Gateway) subscribe(ctx context.Context, s *socket.Socket, req dto.InGroup[dto.SubscribeRequest]) (subscribeAnswer, error) {
	if err := req.Body.Check(); err != nil {
		return subscribeAnswer{}, err
	}
	if req.Body.Since != nil || req.Body.Presence {
		if err := g.service.MayRead(s.Identity()); err != nil {
			return subscribeAnswer{}, err
		}
	}
	sub, err := g.Subscribe(ctx, s, req.GroupID, req.Body.Since)
	if err != nil {
		return subscribeAnswer{}, err
	}
	answer := subscribeAnswer{Group: sub.Group, Version: sub.Version, Snapshot: sub.Snapshot}
	if req.Body.Presence {
		answer.Presence = g.showPresence(ctx, s, req.GroupID)
	}
	return answer, nil
}

// showPresence returns the summary of presence. After the answer, when s already gets
// changes, it sends s the changes in between.
func (g *Gateway) showPresence(ctx context.Context, s *socket.Socket, groupID string) *group.PresenceSummary {
	before, err := g.service.Present(ctx, groupID)
	if err != nil {
		return nil
	}
	socket.After(ctx, func() {
		after, err := g.service.Present(context.WithoutCancel(ctx), groupID)
		if err != nil {
			return // presence may be lost
		}
		for _, data := range presence.Missed(groupID, before, after) {
			env := adapter.Envelope{Event: group.EventPresence, Data: data, Lossy: true}
			adapter.Send([]*adapter.Message{adapter.NewMessage(env)}, g.follower(s))
		}
	})
	return group.Summarize(before)
}

func (g *Gateway) unsubscribe(_ context.Context, s *socket.Socket, req dto.InGroup[dto.NoFields]) (done, error) {
	if err := req.Body.Check(); err != nil {
		return done{}, err
	}
	g.Unsubscribe(s, req.GroupID)
	return done{}, nil
}

func (g *Gateway) create(ctx context.Context, s *socket.Socket, req dto.Changing[dto.CreateRequest]) (group.Group, error) {
	return g.service.Create(group.WithKey(ctx, req.Key), s.Identity(), req.Body)
}

func (g *Gateway) update(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.UpdateRequest]) (group.Group, error) {
	return g.service.Update(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, nil, req.Body)
}

func (g *Gateway) remove(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.NoFields]) (done, error) {
	if err := req.Body.Check(); err != nil {
		return done{}, err
	}
	return done{}, g.service.Delete(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, nil)
}

func (g *Gateway) join(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.NoFields]) (group.Joined, error) {
	if err := req.Body.Check(); err != nil {
		return group.Joined{}, err
	}
	return g.service.Join(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID)
}

func (g *Gateway) leave(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.LeaveRequest]) (done, error) {
	if req.GroupID == "" { // no data was sent
		return done{}, dto.NoFields{}.Check()
	}
	return done{}, g.service.LeaveFor(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, req.Body)
}

func (g *Gateway) message(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.MessageRequest]) (group.Event, error) {
	return g.service.Post(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, req.Body)
}

func (g *Gateway) signal(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.SignalRequest]) (done, error) {
	from := group.SignalSource{SocketID: s.ID(), Subscribed: g.feed.MaySignal(g.follower(s), req.GroupID)}
	return done{}, g.service.Signal(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, from, req.Body)
}

func (g *Gateway) read(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.ReadRequest]) (done, error) {
	return done{}, g.service.MarkRead(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, req.Body)
}

// mine puts s among the sockets that are told of the user's groups.
func (g *Gateway) mine(_ context.Context, s *socket.Socket, req dto.NoData) (done, error) {
	if err := req.Check(); err != nil {
		return done{}, err
	}
	if err := s.Identity().Check(auth.ReadGroups); err != nil {
		return done{}, err
	}
	g.follower(s).Join(group.MineRoom(s.Identity().UserID))
	return done{}, nil
}

func (g *Gateway) setPresence(ctx context.Context, s *socket.Socket, req dto.ChangingIn[dto.PresenceRequest]) (done, error) {
	f := g.follower(s)
	following := group.Following{Subscribed: g.feed.IsSubscribed(f, req.GroupID), GoesOn: g.feed.GoesOn(f, req.GroupID)}
	return done{}, g.service.SetPresence(ctx, s.Identity(), req.GroupID, following, req.Body)
}

// renewed is the time when the socket's new token expires.
type renewed struct {
	ExpiresAt time.Time `json:"expiresAt"`
}

// renew gives a socket another token. If a back end's new token is a user's, its
// subscriptions end, because the user may not be a member of those groups.
func (g *Gateway) renew(ctx context.Context, s *socket.Socket, req dto.AuthRequest) (renewed, error) {
	if err := req.Check(); err != nil {
		return renewed{}, err
	}
	before := s.Identity()
	now, err := s.Renew(ctx, req.Token)
	if err != nil {
		return renewed{}, err
	}
	if before.Admin != now.Admin {
		g.feed.Drop(g.follower(s), group.EndResync)
	}
	return renewed{ExpiresAt: now.Expires.UTC()}, nil
}

// expiring tells a client that it needs a new token.
func (g *Gateway) expiring(s *socket.Socket, expires time.Time) {
	data, err := json.Marshal(renewed{ExpiresAt: expires.UTC()})
	if err == nil {
		_ = socket.ForModule(g.own, s).Emit(group.EventExpiring, data) // fails only for names of another module
	}
}

func (g *Gateway) gone(s *socket.Socket, reason engine.Reason) {
	g.feed.Drop(g.follower(s), endOf(reason))
}

// endOf returns the reason for the end of a socket's subscriptions.
func endOf(reason engine.Reason) string {
	switch reason {
	case engine.Drained:
		return group.EndDrained
	case engine.Expired, engine.Revoked, engine.Disconnected:
		return group.EndExpired
	default:
		return group.EndDropped
	}
}

// follower is a socket in the form that the [feed.Feed] needs. It joins the module's rooms
// and gets the module's events. The feed uses only the module's own names, so no call is
// refused.
type follower struct{ socket.ModuleSocket }

var _ feed.Subscriber = follower{}

func (f follower) Join(room string)  { _ = f.ModuleSocket.Join(room) }
func (f follower) Leave(room string) { _ = f.ModuleSocket.Leave(room) }
