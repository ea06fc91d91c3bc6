package socket

import (
	"context"
	"net/http"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/nodes"
)

// queuedRequests is the number of requests in a session's queue at which the connection
// pauses.
const queuedRequests = 64

// strangerBytes limits the size of a message from a client without a verified token. It
// must hold the token and the rest of the auth payload.
const strangerBytes = 64 << 10

// throttleFor is the maximum time for which a client is not read from after a refused
// request.
const throttleFor = time.Second

// nodeFull refuses a handshake because the node has too many connections.
var nodeFull = fault.ErrUnavailable.WithMessage("this node has as many connections as it may have: try again, or try another node")

// allowance holds the limits that a connection counts for, and what it may still send.
type allowance struct {
	settle func()            // call when the user is known, or the connection is closed
	meter  *limit.Meter      // guarded by the session's mutex
	exempt bool              // of a back end; guarded by the session's mutex
	closed map[string]func() // by user; used by the session's goroutine only
}

// admit checks the limits of a handshake.
func (g *Gateway) admit(h engine.Handshake) (allowance, error) {
	limits, address := g.deps.Limits, limit.AddressOf(h.RemoteAddr)
	err := limits.Connect(address)
	if limits.NodeFull(g.engine.Len()) {
		err = nodeFull
	}
	var settle func()
	if err == nil {
		settle, err = limits.Pending(address)
	}
	if err != nil {
		failure := fault.From(err)
		g.metrics.refuse(failure)
		return allowance{}, refusal{failure}
	}
	return allowance{settle: settle, meter: limits.Meter()}, nil
}

// settle records that the network connection of a request belongs to a client with a
// verified token, if the request belongs to such a polling session or comes from another
// node.
func (g *Gateway) settle(r *http.Request) {
	if r.Header.Get(nodes.ForwardHeader) != "" { // its signature is verified
		limit.Settle(r.Context(), "", true)
		return
	}
	s, here := g.engine.Receiver(r.URL.Query().Get("sid")).(*session)
	if !here {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sockets) > 0 {
		limit.Settle(r.Context(), s.sockets[0].UserID(), s.sockets[0].Identity().Admin)
	}
}

// countUser counts the connection for an authenticated user.
func (s *session) countUser(ctx context.Context, identity auth.Identity) *fault.Error {
	if identity.Admin {
		s.allowance.settle()
		s.exempt(true)
		return nil
	}
	if s.allowance.closed[identity.UserID] != nil {
		return nil
	}
	closed, err := s.gateway.deps.Limits.Socket(ctx, identity.UserID)
	if err != nil {
		failure := fault.From(err)
		s.gateway.metrics.refuse(failure)
		return failure
	}
	if s.allowance.closed == nil {
		s.allowance.closed = make(map[string]func(), 1)
	}
	s.allowance.closed[identity.UserID] = closed
	s.allowance.settle()
	return nil
}

// exempt sets whether a user's limits apply to the connection.
func (s *session) exempt(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowance.exempt = on
}

// uncount removes the connection from all counts.
func (s *session) uncount() {
	s.allowance.settle()
	for _, closed := range s.allowance.closed {
		closed()
	}
	s.allowance.closed = nil
}

// chargeLocked returns why a request is refused, or nil. insists is true if the client has
// kept sending refused requests for too long.
func (s *session) chargeLocked(in inbound) (refused error, insists bool) {
	if s.allowance.exempt {
		return nil, false
	}
	insists, refused = s.allowance.meter.Request(int(in.cost() - messageCost))
	return refused, insists
}

// throttleLocked stops reading from a client whose request was refused, until the next
// request may be allowed. So refused requests cost little more than none.
func (s *session) throttleLocked(wait time.Duration) {
	if s.throttled {
		return
	}
	s.throttled = true
	time.AfterFunc(min(wait, throttleFor), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.throttled = false
		if !s.ended {
			s.updatePauseLocked()
		}
	})
}

// run calls a handler once its user may run one more.
func (g *Gateway) run(ctx context.Context, s *Socket, handler func() error) error {
	if s.Identity().Admin {
		return handler()
	}
	done, err := g.deps.Limits.Run(ctx, s.UserID())
	if err != nil {
		return err
	}
	defer done()
	return handler()
}

// retryLimited returns after how many seconds to retry when a limit was reached, and 0 for
// other failures.
func retryLimited(f *fault.Error) int {
	if f.Kind != fault.RateLimited {
		return 0
	}
	return f.RetryAfter()
}
