package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
)

// refusal is an Engine.IO error: its code, and what Node says with it.
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

// retryAfter is what a draining node tells clients to wait, in seconds.
const retryAfter = 1

// ServeEngineIO answers a request of the Engine.IO endpoint: a WebSocket handshake
// with EIO=4 and transport=websocket; anything else gets Engine.IO's error.
func (e *Engine) ServeEngineIO(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Get("transport") != "websocket":
		errTransport.answer(w, r)
	case q.Get("sid") != "": // sessions that came over WebSocket stay there
		errSession.answer(w, r)
	case r.Method != http.MethodGet:
		errMethod.answer(w, r)
	case !websocket.IsWebSocketUpgrade(r):
		errRequest.answer(w, r)
	case !e.originAllowed(r):
		errForbidden.answer(w, r)
	case q.Get("EIO") != "4":
		errVersion.answer(w, r)
	case refuseUpgrade(w, r):
	default:
		e.serve(w, r, EngineIO, q)
	}
}

// ServePlain answers a request of the plain WebSocket endpoint. Of the subprotocols
// that a client offers it selects moim; the others may carry its token.
func (e *Engine) ServePlain(w http.ResponseWriter, r *http.Request) {
	switch {
	case refuseUpgrade(w, r):
	case !e.originAllowed(r):
		http.Error(w, "this origin is not allowed: see http.origins", http.StatusForbidden)
	default:
		e.serve(w, r, Plain, r.URL.Query())
	}
}

// serve accepts a connection and upgrades it.
func (e *Engine) serve(w http.ResponseWriter, r *http.Request, p Protocol, q url.Values) {
	c := &Conn{engine: e, id: e.ids.next(), protocol: p}
	if p == EngineIO {
		c.Send(e.openPacket(c.id))
	}
	if err := e.add(c); err != nil {
		e.unavailable(w)
		return
	}
	err := e.admit(c, Handshake{
		Header:     r.Header,
		Query:      q,
		RemoteAddr: r.RemoteAddr,
		Protocol:   p,
		Context:    context.WithoutCancel(r.Context()),
	})
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	e.stats.accepted.Add(1)
	e.sockets.serve(w, r, c)
}

// unavailable says that the engine is stopping.
func (e *Engine) unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	http.Error(w, "this node is stopping: connect again", http.StatusServiceUnavailable)
}

// admit gives c its receiver. One that gets none is not the engine's any more.
func (e *Engine) admit(c *Conn, h Handshake) error {
	defer func() {
		if c.receiver == nil { // also when accept panics
			e.remove(c)
		}
	}()
	receiver, err := e.accept(c, h)
	if err == nil {
		c.receiver = receiver
	}
	return err
}

func (e *Engine) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var answer http.Handler
	if errors.As(err, &answer) {
		answer.ServeHTTP(w, r)
		return
	}
	e.log.Debug("engine: refused a connection", "err", err)
	errForbidden.answer(w, r)
}

func (e *Engine) openPacket(sid string) *Frame {
	return newFrame(nil, []byte(`0{"sid":"`), []byte(sid), e.openTail)
}

// answer refuses a request as Node's server does: in JSON over HTTP, in words
// to who asked for an upgrade.
func (f refusal) answer(w http.ResponseWriter, r *http.Request) {
	status := http.StatusBadRequest
	if f == errForbidden {
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

// originAllowed checks the Origin header, which browsers always send and the
// scripts in them cannot change. Other clients send none. A proxy may end TLS,
// so that the same origin is known by its host alone.
func (e *Engine) originAllowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 || slices.Contains(e.cfg.Origins, "*") {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	if len(e.cfg.Origins) == 0 {
		return strings.EqualFold(origins[0], "https://"+r.Host) || strings.EqualFold(origins[0], "http://"+r.Host)
	}
	return slices.ContainsFunc(e.cfg.Origins, func(allowed string) bool { return strings.EqualFold(allowed, origins[0]) })
}
