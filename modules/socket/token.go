package socket

import (
	"context"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/engine"
)

// expiringBefore is the time between the OnExpiring handlers and the expiry of the
// identity.
const expiringBefore = 30 * time.Second

var errAnotherUser = fault.ErrForbidden.WithMessage("the token is of another user: connect again with it")

// OnExpiring returns a handler that runs once for each identity of a socket, 30 s before it
// expires, or at once if less time is left. It must not block. See [Socket.Renew].
func OnExpiring(fn func(s *Socket, expires time.Time)) Handler { return Handler{expiring: fn} }

// Renew sets the identity of the socket, and of the connection's other sockets with the
// same user, to that of another token. The connection then lasts until that token expires.
// Renew returns the error of the [Authenticator], and fault.ErrForbidden for the token of
// another user.
func (s *Socket) Renew(ctx context.Context, token string) (auth.Identity, error) {
	h := s.Handshake()
	h.Token, h.Auth, h.Returning = token, nil, ""
	g := s.session.gateway
	identity, failure := g.authenticate(ctx, h)
	switch {
	case failure != nil:
		return auth.Identity{}, failure
	case identity.UserID != s.UserID():
		return auth.Identity{}, errAnotherUser
	}
	if failure := s.session.countUser(ctx, identity); failure != nil {
		return auth.Identity{}, failure
	}
	s.session.renew(identity)
	if failure := g.checkRevoked(identity); failure != nil {
		s.session.disconnectAll(engine.Revoked)
		return auth.Identity{}, failure
	}
	return identity, nil
}

// renew sets the identity of all sockets of its user.
func (s *session) renew(identity auth.Identity) {
	s.exempt(identity.Admin)
	s.mu.Lock()
	sockets := slices.Clone(s.sockets)
	s.mu.Unlock()
	for _, socket := range sockets {
		if socket.UserID() == identity.UserID {
			socket.renew(&identity)
		}
	}
}

func (s *Socket) renew(identity *auth.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity.Store(identity)
	if s.state.Load() == open {
		s.awaitExpiryLocked()
	}
}

// awaitExpiryLocked sets the timer for the OnExpiring handlers, and then for the end of the
// connection.
func (s *Socket) awaitExpiryLocked() {
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	identity := s.identity.Load()
	if identity.Expires.IsZero() {
		return
	}
	if len(s.namespace.onExpiring) == 0 {
		s.expireLocked(identity)
		return
	}
	s.expiry = time.AfterFunc(time.Until(identity.Expires)-expiringBefore, func() {
		s.session.gateway.expiring(s, identity.Expires)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.identity.Load() == identity && s.state.Load() == open {
			s.expireLocked(identity)
		}
	})
}

// expireLocked closes the connection when identity expires, unless it is renewed.
func (s *Socket) expireLocked(identity *auth.Identity) {
	s.expiry = time.AfterFunc(time.Until(identity.Expires), func() {
		if s.identity.Load() == identity {
			s.session.disconnectAll(engine.Expired)
		}
	})
}

// expiring runs the OnExpiring handlers.
func (g *Gateway) expiring(s *Socket, expires time.Time) {
	for _, h := range s.namespace.onExpiring {
		_ = g.isolated(context.Background(), func() error {
			h.expiring(s, expires)
			return nil
		}, "handler", "expiring", "user", s.UserID(), "socket", s.ID())
	}
}

// checkRevoked returns why a token is refused, or nil. Call it once the socket is in its
// user's room. It finds earlier revocations; revoked handles later ones.
func (g *Gateway) checkRevoked(identity auth.Identity) *fault.Error {
	if g.deps.Revocations == nil {
		return nil
	}
	if err := g.deps.Revocations.Check(identity); err != nil {
		return fault.From(err)
	}
	return nil
}

// revoked closes the connections whose token was revoked. Socket.IO clients do not
// reconnect automatically.
func (g *Gateway) revoked(r auth.Revocation) {
	for _, m := range g.own.Sockets(userRoom(r.UserID)) {
		if s := socketOf(m); s != nil && r.Revokes(s.Identity()) {
			s.forget()
			s.session.disconnectAll(engine.Revoked)
		}
	}
}
