package engine

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// refusal is an error of the Engine.IO protocol, with the message that Node's server uses.
type refusal struct {
	code    int
	message string
}

var (
	errTransport = refusal{0, "Transport unknown"}
	errSession   = refusal{1, "Session ID unknown"}
	errMethod    = refusal{2, "Bad handshake method"}
	errRequest   = refusal{3, "Bad request"}
	errForbidden = refusal{4, "Forbidden"}
	errVersion   = refusal{5, "Unsupported protocol version"}
)

// ServeEngineIO serves the Engine.IO endpoint: the requests of HTTP long polling and
// WebSocket handshakes. It answers other requests with Engine.IO's errors. It adds CORS
// headers for allowed origins.
func (e *Engine) ServeEngineIO(w http.ResponseWriter, r *http.Request) {
	allowed := e.origins.Load().AllowCORS(w.Header(), r)
	if allowed && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		answerPreflight(w, r)
		return
	}
	q := r.URL.Query()
	transport, sid := q.Get("transport"), q.Get("sid")
	switch {
	case !e.serves(transport):
		if e.refusedTransport.May(refusalEvery) {
			e.log.InfoContext(r.Context(), "engine: refused a transport that is not in socket.transports", "transport", transport[:min(len(transport), 64)])
		}
		errTransport.answer(w, r)
	case !allowed:
		e.refuseOrigin(r)
		errForbidden.with(originRefused).answer(w, r)
	case sid != "":
		e.resume(w, r, sid, transport)
	case r.Method != http.MethodGet:
		errMethod.answer(w, r)
	case transport == "websocket" && !websocket.IsWebSocketUpgrade(r):
		errRequest.answer(w, r)
	case q.Get("EIO") != "4":
		errVersion.answer(w, r)
	case transport == "polling":
		if c := e.admit(w, r, EngineIO, q, &polling{sid: e.newSID()}); c != nil {
			e.openPolling(w, c)
		}
	case refuseUpgrade(w, r):
	default:
		e.serve(w, r, EngineIO, q)
	}
}

// serves reports whether clients may use a transport.
func (e *Engine) serves(transport string) bool {
	return transport == "polling" && e.cfg.Polling || transport == "websocket" && e.cfg.WebSocket
}

// resume serves a request of an open session.
func (e *Engine) resume(w http.ResponseWriter, r *http.Request, sid, transport string) {
	c := e.lookup(sid)
	upgrade := websocket.IsWebSocketUpgrade(r)
	switch {
	case c == nil && e.forward(w, r, sid):
	case c == nil:
		errSession.answer(w, r)
	case upgrade != (transport == "websocket"):
		errRequest.answer(w, r)
	case !upgrade:
		c.servePolling(w, r)
	case refuseUpgrade(w, r):
	default:
		c.serveUpgrade(w, r)
	}
}

// newSID returns the id of a polling session.
func (e *Engine) newSID() string { return e.cfg.Node + NewID()[len(e.cfg.Node):] }

// forward tries to pass a request for a session of another node to that node.
func (e *Engine) forward(w http.ResponseWriter, r *http.Request, sid string) bool {
	if e.cfg.Forward == nil || len(sid) <= NodeLength || sid[:NodeLength] == e.cfg.Node {
		return false
	}
	return e.cfg.Forward(w, r, sid[:NodeLength], http.HandlerFunc(errSession.answer))
}

// answerPreflight answers a browser's CORS preflight request.
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if headers := r.Header.Values("Access-Control-Request-Headers"); len(headers) > 0 {
		h["Access-Control-Allow-Headers"] = headers
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// ServePlain serves the plain WebSocket endpoint. It selects the subprotocol moim;
// another subprotocol may carry the client's token.
func (e *Engine) ServePlain(w http.ResponseWriter, r *http.Request) {
	switch {
	case refuseUpgrade(w, r):
	case !e.origins.Load().Allows(r):
		e.refuseOrigin(r)
		http.Error(w, originRefused, http.StatusForbidden)
	default:
		e.serve(w, r, Plain, r.URL.Query())
	}
}

// serve accepts a connection and upgrades it.
func (e *Engine) serve(w http.ResponseWriter, r *http.Request, p Protocol, q url.Values) {
	if c := e.admit(w, r, p, q, nil); c != nil {
		e.upgrader.serve(w, r, c)
	}
}

// admit accepts a connection, which begins with polling if polling is not nil. It answers a
// refused request and returns nil.
func (e *Engine) admit(w http.ResponseWriter, r *http.Request, p Protocol, q url.Values, polling *polling) *Conn {
	c := &Conn{engine: e, protocol: p, polling: polling}
	if p == EngineIO && polling == nil {
		c.Send(Plain.Frame(e.openPacket(NewID(), false)))
	}
	if !e.add(c) {
		e.refuseStopping(w)
		return nil
	}
	defer func() {
		if c.receiver == nil { // refused, or accept panicked
			e.remove(c)
		}
	}()
	receiver, err := e.accept(c, Handshake{
		Header:     r.Header,
		Query:      q,
		RemoteAddr: r.RemoteAddr,
		Protocol:   p,
		Context:    context.WithoutCancel(r.Context()),
	})
	if err != nil {
		var answer http.Handler
		if errors.As(err, &answer) {
			answer.ServeHTTP(w, r)
			return nil
		}
		e.log.DebugContext(r.Context(), "engine: refused a connection", "err", err)
		errForbidden.answer(w, r)
		return nil
	}
	c.receiver = receiver
	e.stats.accepted.Add(1)
	return c
}

// refuseStopping answers a request while the engine drains.
func (e *Engine) refuseStopping(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "this node is stopping: connect again", http.StatusServiceUnavailable)
}

// with returns the refusal with another message.
func (f refusal) with(message string) refusal {
	f.message = message
	return f
}

// answer refuses a request as Node's server does: with JSON, or with text if the request
// asks for an upgrade.
func (f refusal) answer(w http.ResponseWriter, r *http.Request) {
	status := http.StatusBadRequest
	if f.code == errForbidden.code {
		status = http.StatusForbidden
	}
	if websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(f.message))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%d,"message":%q}`, f.code, f.message)
}

// originRefused tells a developer what to set.
const originRefused = "this origin is not allowed: add it to http.origins"

// refusalEvery is the minimum time between two log lines about one kind of refusal.
const refusalEvery = time.Minute

// refuseOrigin logs a refused origin, at most once a minute.
func (e *Engine) refuseOrigin(r *http.Request) {
	if !e.refusedOrigin.May(refusalEvery) {
		return
	}
	origin := r.Header.Get("Origin")
	e.log.WarnContext(r.Context(), "engine: refused an origin; to allow it, add it to http.origins", "origin", origin[:min(len(origin), 256)])
}

// refuseUpgrade answers a request whose handshake is invalid (RFC 6455, section 4.2.1). It
// reports whether it did.
func refuseUpgrade(w http.ResponseWriter, r *http.Request) bool {
	versions, keys := r.Header.Values("Sec-Websocket-Version"), r.Header.Values("Sec-Websocket-Key")
	switch {
	case !r.ProtoAtLeast(1, 1) || !websocket.IsWebSocketUpgrade(r):
		upgradeRequired(w, "this endpoint needs a WebSocket handshake over HTTP/1.1")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a WebSocket handshake uses GET", http.StatusMethodNotAllowed)
	case len(versions) > 1:
		http.Error(w, "there must be one Sec-WebSocket-Version header", http.StatusBadRequest)
	case len(versions) == 0 || versions[0] != "13":
		upgradeRequired(w, "only version 13 of the WebSocket protocol is supported")
	case len(keys) != 1 || !validKey(keys[0]):
		http.Error(w, "there must be one Sec-WebSocket-Key header with 16 bytes in base64", http.StatusBadRequest)
	default:
		return false
	}
	return true
}

// upgradeRequired answers with 426 and the supported version.
func upgradeRequired(w http.ResponseWriter, why string) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, why, http.StatusUpgradeRequired)
}

func validKey(key string) bool {
	nonce, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(nonce) == 16
}

// joinSubprotocols joins the lines of the header into one list (RFC 9110, section 5.2),
// because gorilla reads only the first line.
func joinSubprotocols(header http.Header) {
	const name = "Sec-Websocket-Protocol"
	if lines := header[name]; len(lines) > 1 {
		header[name] = []string{strings.Join(lines, ", ")}
	}
}

// NewID returns an id in the format of Socket.IO's base64id: 15 random bytes as
// 20 characters of URL-safe base64. It cannot be guessed.
func NewID() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}
