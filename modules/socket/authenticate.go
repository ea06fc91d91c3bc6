package socket

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Handshake describes a client that wants to connect.
type Handshake struct {
	// Handshake is the connection's HTTP request. Over Socket.IO, its Context is nil. If
	// the client has left the namespace and connects again over the same connection, its
	// Header and Query are empty.
	engine.Handshake

	// Token is Socket.IO's auth.token, or else the bearer token of the Authorization
	// header, or else the token in the subprotocol "bearer.<token>". It may be empty. It is
	// a secret: do not log it.
	Token string

	// Auth is Socket.IO's auth payload, an object. It may be empty.
	Auth json.RawMessage

	// Returning is the user of the connection state that the client wants to recover. It is
	// set only if the authenticator has returned another user before. The state is
	// recovered only for the same user. Returning does not prove who the client is: return
	// it only from an authenticator without users.
	Returning string
}

// Authenticator identifies a client. It returns fault.ErrUnauthorized for an unknown
// client. The client gets the code and message of any [fault.Error]. Calls run
// concurrently, and ctx has a deadline. A socket is closed when its identity expires; a
// zero Expires means never.
type Authenticator func(ctx context.Context, h Handshake) (auth.Identity, error)

// Tokens returns an [Authenticator] that verifies the client's token. It refuses clients
// without a token.
func Tokens(verify func(ctx context.Context, token string) (auth.Identity, error)) Authenticator {
	return func(ctx context.Context, h Handshake) (auth.Identity, error) {
		if h.Token == "" {
			return auth.Identity{}, fault.ErrUnauthorized.WithMessage(
				"a valid token is needed: send it as Socket.IO's auth.token, as Authorization: Bearer <token>, " +
					"or as the WebSocket subprotocols moim and bearer.<token>")
		}
		return verify(ctx, h.Token)
	}
}

// Anonymous is an [Authenticator] for programs without users. It admits every client, and
// gives each socket its own user id.
func Anonymous(_ context.Context, h Handshake) (auth.Identity, error) {
	return auth.Identity{UserID: cmp.Or(h.Returning, engine.NewID())}, nil
}

// Gatekeeper decides whether authenticated users may connect. It is safe for concurrent
// use. authorize.Gatekeeper implements it.
type Gatekeeper interface {
	// MayConnect returns a [fault.Error] for a user who may not connect. It is called for
	// each handshake, before the socket is created. It must return within a bounded time,
	// also if the back end does not answer.
	MayConnect(ctx context.Context, user auth.Identity) error
}

// refusalEvery is the minimum time between two log lines about refused tokens.
const refusalEvery = time.Minute

// authenticate calls the authenticator and checks its result. ctx has a deadline.
func (g *Gateway) authenticate(ctx context.Context, h Handshake) (identity auth.Identity, failure *fault.Error) {
	attrs := []any{"handler", "authenticate", "remote", h.RemoteAddr}
	err := g.isolated(ctx, func() (err error) {
		identity, err = g.deps.Authenticate(ctx, h)
		return err
	}, attrs...)
	switch {
	case err != nil:
	case identity.UserID == "":
		err = errors.New("the authenticator returned an identity without a user")
	case !identity.Expires.IsZero() && !identity.Expires.After(time.Now()):
		err = fault.ErrUnauthorized.WithMessage("the token has expired")
	}
	if err != nil {
		failure = g.explain(ctx, err, attrs...)
		g.metrics.refuse(failure)
		if failure.Kind == fault.Unauthenticated && g.refused.May(refusalEvery) {
			g.log.InfoContext(ctx, "socket: refused a client", "because", failure.Message, "remote", h.RemoteAddr)
		}
		return auth.Identity{}, failure
	}
	return identity, nil
}

// ask asks the gatekeeper whether a user may connect.
func (g *Gateway) ask(ctx context.Context, identity auth.Identity) *fault.Error {
	if g.deps.Gatekeeper == nil {
		return nil
	}
	attrs := []any{"handler", "gatekeeper", "user", identity.UserID}
	err := g.isolated(ctx, func() error { return g.deps.Gatekeeper.MayConnect(ctx, identity) }, attrs...)
	if err == nil {
		return nil
	}
	failure := g.explain(ctx, err, attrs...)
	g.metrics.refuse(failure)
	return failure
}

// bearerProtocol is the prefix of the subprotocol that carries a token: browsers
// cannot set headers on a WebSocket.
const bearerProtocol = "bearer."

// bearer returns the token in a request's headers. Query parameters are not read,
// because URLs end up in logs.
func bearer(header http.Header) string {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, line := range header.Values("Sec-Websocket-Protocol") {
		for protocol := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(protocol), bearerProtocol); ok {
				return token
			}
		}
	}
	return ""
}

// payloadToken returns the token in Socket.IO's auth payload, which is an object or
// empty.
func payloadToken(payload json.RawMessage) string {
	var fields struct {
		Token string `json:"token"`
	}
	_ = json.Unmarshal(payload, &fields) // a token that is not a string counts as none
	return fields.Token
}
