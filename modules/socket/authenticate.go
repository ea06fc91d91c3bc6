package socket

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Handshake is what is known of a client that wants to connect.
type Handshake struct {
	// The connection's HTTP request. Its Header and Query are empty when a
	// client disconnects from Socket.IO's namespace and connects again over
	// the same connection; its Context is nil over Socket.IO.
	engine.Handshake

	// Token is Socket.IO's auth.token, else the bearer token of the
	// Authorization header, else that of the subprotocol "bearer.<token>";
	// empty when there is none. It is a secret: do not log it.
	Token string

	// Auth is Socket.IO's auth payload, an object; empty when there is none.
	Auth json.RawMessage
}

// Authenticator says who a client is. It returns fault.ErrUnauthorized when
// that cannot be told; the code and message of any [fault.Error] are shown to
// the client. It is called concurrently, and its context has a deadline. A
// socket is closed when its identity expires; a zero Expires means never.
type Authenticator func(ctx context.Context, h Handshake) (auth.Identity, error)

// Tokens returns an [Authenticator] that has verify judge the token, and that
// refuses clients without one.
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

// Anonymous is the [Authenticator] of a program without users: it lets every
// client in, each socket as a user of its own.
func Anonymous(context.Context, Handshake) (auth.Identity, error) {
	return auth.Identity{UserID: newID()}, nil
}

// authenticate runs the authenticator and distrusts what it returns. ctx has a
// deadline.
func (g *Gateway) authenticate(ctx context.Context, h Handshake) (identity auth.Identity, failure *fault.Error) {
	attrs := []any{"handler", "authenticate", "remote", h.RemoteAddr}
	err := g.isolated(func() (err error) {
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
		return auth.Identity{}, failure
	}
	return identity, nil
}

// bearerProtocol begins the subprotocol that carries a token: browsers cannot
// set headers on a WebSocket.
const bearerProtocol = "bearer."

// bearer returns the token of a request's headers. There is no query
// parameter for it: URLs end up in logs.
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

// tokenIn returns the token of Socket.IO's auth payload, an object or nothing, if
// that has one.
func tokenIn(payload json.RawMessage) (token string) {
	if len(payload) == 0 {
		return ""
	}
	fields, _ := rawjson.Split(payload, len(payload))
	for _, field := range fields {
		if key, value := rawjson.Member(field); strings.EqualFold(key, "token") {
			token, _ = rawjson.Text(value)
		}
	}
	return token
}

// newID returns an id as Socket.IO's clients know them: 20 characters that
// cannot be guessed.
func newID() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}
