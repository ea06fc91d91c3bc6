package group

import (
	"context"
	"slices"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Gateway is the socket door: it reads requests, calls the [Service] and the
// [Feed], and returns what they answer. Its answers are those of HTTP, {} in
// place of no body.
type Gateway struct {
	service *Service
	feed    *Feed
	own     *adapter.Owner
}

// NewGateway returns a gateway. own comes from [Reserve]. Give its handlers to a
// socket.Gateway.
func NewGateway(service *Service, feed *Feed, own *adapter.Owner) *Gateway {
	return &Gateway{service: service, feed: feed, own: own}
}

// follower returns s as the feed knows it.
func (g *Gateway) follower(s *socket.Socket) follower { return follower{s, g.own} }

// done is the answer where HTTP has no body.
type done struct{}

// Handlers returns the handlers of every group event that clients send, and
// one that ends the subscriptions of a socket that is gone.
func (g *Gateway) Handlers() []socket.Handler {
	return socket.As(g.own,
		socket.On("group:subscribe", g.subscribe),
		socket.On("group:unsubscribe", g.unsubscribe),
		socket.On("group:create", g.create),
		socket.On("group:update", g.update),
		socket.On("group:delete", g.remove),
		socket.On("group:join", g.join),
		socket.On("group:leave", g.leave),
		socket.On("group:message", g.message),
		socket.On("group:signal", g.signal),
		socket.On("group:read", g.read),
		socket.On("presence:set", g.setPresence),
		socket.OnDisconnect(g.gone),
	)
}

// Subscribe makes s, of whose handler ctx is, follow a group, as group:subscribe
// does: every event after the answer's version follows the handler's own
// answer, those missed since since first, which may be nil. It returns ErrNotMember and fault.ErrNotFound as the
// permission table says, and fault.ErrUnavailable while the log cannot be read.
func (g *Gateway) Subscribe(ctx context.Context, s *socket.Socket, groupID string, since *int64) (Subscription, error) {
	if !validGroupID(groupID) {
		return Subscription{}, fault.ErrNotFound
	}
	caller := s.Identity()
	sub, err := g.feed.Subscribe(ctx, g.follower(s), SubscribeRequest{
		GroupID: groupID,
		Since:   since,
		Backend: caller.Admin,
		Admit:   Admit(caller),
	})
	if err != nil {
		return Subscription{}, hide(err)
	}
	socket.After(ctx, func() { g.feed.Release(g.follower(s), groupID) })
	return sub, nil
}

// Unsubscribe ends what [Gateway.Subscribe] began, if there is something to
// end: its user has left.
func (g *Gateway) Unsubscribe(s *socket.Socket, groupID string) {
	g.feed.Unsubscribe(g.follower(s), groupID, endUnsubscribed)
}

func (g *Gateway) subscribe(ctx context.Context, s *socket.Socket, req inGroup[subscribeRequest]) (subscribeAnswer, error) {
	if err := req.Body.check(); err != nil {
		return subscribeAnswer{}, err
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

// showPresence returns who is there, and sends s, once its answer is on its way
// and it is told of changes, those that it missed in between.
func (g *Gateway) showPresence(ctx context.Context, s *socket.Socket, groupID string) *PresenceSummary {
	before, err := g.service.present(ctx, groupID)
	if err != nil {
		return nil
	}
	socket.After(ctx, func() {
		after, err := g.service.present(context.WithoutCancel(ctx), groupID)
		if err != nil {
			return // presence is at most once
		}
		for part := range slices.Chunk(changesBetween(before, after), maxPresenceItems) {
			if data, err := marshal(presencePush{groupID, part}); err == nil {
				_ = s.EmitAs(g.own, eventPresence, data) // the module's own event
			}
		}
	})
	return summarize(before)
}

func (g *Gateway) unsubscribe(_ context.Context, s *socket.Socket, req inGroup[noFields]) (done, error) {
	if err := req.Body.check(); err != nil {
		return done{}, err
	}
	g.Unsubscribe(s, req.GroupID)
	return done{}, nil
}

func (g *Gateway) create(ctx context.Context, s *socket.Socket, req changing[CreateRequest]) (Group, error) {
	return g.service.Create(req.once(ctx), s.Identity(), req.Body)
}

func (g *Gateway) update(ctx context.Context, s *socket.Socket, req changingIn[UpdateRequest]) (Group, error) {
	return g.service.Update(req.once(ctx), s.Identity(), req.GroupID, nil, req.Body)
}

func (g *Gateway) remove(ctx context.Context, s *socket.Socket, req changingIn[noFields]) (done, error) {
	if err := req.Body.check(); err != nil {
		return done{}, err
	}
	return done{}, g.service.Delete(req.once(ctx), s.Identity(), req.GroupID, nil)
}

func (g *Gateway) join(ctx context.Context, s *socket.Socket, req changingIn[noFields]) (Joined, error) {
	if err := req.Body.check(); err != nil {
		return Joined{}, err
	}
	return g.service.Join(req.once(ctx), s.Identity(), req.GroupID)
}

func (g *Gateway) leave(ctx context.Context, s *socket.Socket, req changingIn[noFields]) (done, error) {
	if err := req.Body.check(); err != nil {
		return done{}, err
	}
	return done{}, g.service.Leave(req.once(ctx), s.Identity(), req.GroupID)
}

func (g *Gateway) message(ctx context.Context, s *socket.Socket, req changingIn[MessageRequest]) (Event, error) {
	return g.service.Post(req.once(ctx), s.Identity(), req.GroupID, req.Body)
}

func (g *Gateway) signal(ctx context.Context, s *socket.Socket, req changingIn[SignalRequest]) (done, error) {
	from := SignalSource{SocketID: s.ID(), Subscribed: g.feed.MaySignal(g.follower(s), req.GroupID)}
	return done{}, g.service.Signal(req.once(ctx), s.Identity(), req.GroupID, from, req.Body)
}

func (g *Gateway) read(ctx context.Context, s *socket.Socket, req changingIn[ReadRequest]) (done, error) {
	return done{}, g.service.MarkRead(req.once(ctx), s.Identity(), req.GroupID, req.Body)
}

func (g *Gateway) setPresence(ctx context.Context, s *socket.Socket, req changingIn[PresenceRequest]) (done, error) {
	f := g.follower(s)
	following := Following{Subscribed: g.feed.IsSubscribed(f, req.GroupID), GoesOn: g.feed.MaySignal(f, req.GroupID)}
	return done{}, g.service.SetPresence(ctx, s.Identity(), req.GroupID, following, req.Body)
}

func (g *Gateway) gone(s *socket.Socket, reason engine.Reason) {
	g.feed.Drop(g.follower(s), endOf(reason))
}

// endOf says why a socket's subscriptions ended with it.
func endOf(reason engine.Reason) string {
	switch reason {
	case engine.Drained:
		return endDrained
	case engine.Expired, engine.Disconnected:
		return endExpired
	default:
		return endDropped
	}
}
