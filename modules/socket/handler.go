package socket

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// defaultHandlerTimeout is the deadline of the context that a handler is given.
const defaultHandlerTimeout = 15 * time.Second

// Handler is one reaction of a [Gateway]: to an event, to the beginning of a
// socket or to its end. Make it with [On], [OnConnect] or [OnDisconnect].
type Handler struct {
	event      string
	owner      *adapter.Owner // nil: the program
	serve      func(ctx context.Context, s *Socket, data json.RawMessage) ([]byte, error)
	connect    func(ctx context.Context, s *Socket) error
	disconnect func(s *Socket, reason engine.Reason)
}

// On makes fn answer an event. The event's data is decoded into Req: fields
// that Req does not have and values of the wrong type are refused as
// validation_failed, naming the field; null or no data leaves Req as it is. A
// Req with a method Validate() error is validated before fn is called. A Req
// of type json.RawMessage takes the data as it is.
//
// What fn returns is the answer: Rep as JSON, or the error's code and message
// when it is a [fault.Error]. Any other error, and a panic, is logged and
// answered as "internal". ctx ends after 15 s; an error that says so is
// answered as "unavailable".
//
// fn runs in no goroutine of its own: the socket's next message waits for it. A
// gateway refuses an event that a module has reserved, unless the handler is the
// module's; see [As].
func On[Req, Rep any](event string, fn func(ctx context.Context, s *Socket, req Req) (Rep, error)) Handler {
	return Handler{event: event, serve: func(ctx context.Context, s *Socket, data json.RawMessage) ([]byte, error) {
		req, err := decode[Req](data)
		if err != nil {
			return nil, err
		}
		rep, err := fn(ctx, s, req)
		if err != nil {
			return nil, err
		}
		reply, err := rawjson.Marshal(rep)
		if err != nil {
			return nil, fmt.Errorf("encode the answer: %w", err)
		}
		return reply, nil
	}}
}

// OnConnect makes fn run for every socket before the client is told that it is
// connected; what fn sends follows that. An error refuses the socket, with the
// code and message of a [fault.Error] or as "internal". Handlers run in the
// order in which the gateway was given them; over Socket.IO they share the 15 s
// of their context with the [Authenticator].
func OnConnect(fn func(ctx context.Context, s *Socket) error) Handler { return Handler{connect: fn} }

// OnDisconnect makes fn run once for every socket that OnConnect handlers have
// seen, also one that they refused, after its last message was handled. By then
// the socket has left its rooms and nothing can be sent to it.
func OnDisconnect(fn func(s *Socket, reason engine.Reason)) Handler {
	return Handler{disconnect: fn}
}

// handlers are a gateway's, by what they react to.
type handlers struct {
	events     map[string]Handler
	connect    []Handler
	disconnect []Handler
}

// As makes handlers those of a module, which may answer events that it has
// reserved.
func As(o *adapter.Owner, list ...Handler) []Handler {
	list = slices.Clone(list)
	for i := range list {
		list[i].owner = o
	}
	return list
}

// newHandlers reports every name that is taken twice or cannot be used.
func newHandlers(program *adapter.Owner, list []Handler) (handlers, error) {
	hs := handlers{events: make(map[string]Handler)}
	var errs []error
	for _, h := range list {
		switch {
		case h.connect != nil:
			hs.connect = append(hs.connect, h)
		case h.disconnect != nil:
			hs.disconnect = append(hs.disconnect, h)
		case h.serve == nil:
			errs = append(errs, errors.New("socket: a handler without a function: make it with On, OnConnect or OnDisconnect"))
		case hs.events[h.event].serve != nil:
			errs = append(errs, fmt.Errorf("socket: two handlers for event %q", h.event))
		default:
			errs = append(errs, checkEvent(cmp.Or(h.owner, program), h.event))
			hs.events[h.event] = h
		}
	}
	return hs, errors.Join(errs...)
}

// errPanicked is what a panic becomes; it was logged where it happened.
var errPanicked = errors.New("a handler panicked")

// isolated runs fn and turns a panic into errPanicked.
func (g *Gateway) isolated(fn func() error, attrs ...any) (err error) {
	defer func() {
		if v := recover(); v != nil {
			g.log.Error("socket: a handler panicked", append(attrs, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))...)
			err = fault.ErrInternal.WithCause(errPanicked)
		}
	}()
	return fn()
}

// handle checks an event's data, calls the event's handler and returns its
// answer.
func (g *Gateway) handle(ctx context.Context, s *Socket, event string, data json.RawMessage) ([]byte, *fault.Error) {
	h, known := g.handlers.events[event]
	if !known {
		g.metrics.event("unknown", errUnknownEvent, 0)
		return nil, errUnknownEvent
	}
	began := time.Now()
	attrs := []any{"event", event, "user", s.UserID(), "socket", s.ID()}
	var reply []byte
	err := check(data)
	if err == nil {
		err = g.isolated(func() (err error) {
			reply, err = h.serve(ctx, s, data)
			return err
		}, attrs...)
	}
	failure := g.explain(ctx, err, attrs...)
	g.metrics.event(event, failure, time.Since(began))
	return reply, failure
}

// errUnknownEvent answers an event without a handler.
var errUnknownEvent = fault.New(fault.NotFound, "unknown_event", "there is no event of this name")

// explain returns what a client may see of err and logs what it may not.
func (g *Gateway) explain(ctx context.Context, err error, attrs ...any) *fault.Error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		g.log.Warn("socket: a handler ran out of time", append(attrs, "err", err)...)
		return fault.ErrUnavailable.WithMessage("this took too long; try again").WithCause(err)
	}
	failure := fault.From(err)
	switch {
	case errors.Is(err, errPanicked):
	case failure.Kind == fault.Internal:
		g.log.Error("socket: a handler failed", append(attrs, "err", err)...)
	default:
		g.log.Debug("socket: a handler refused", append(attrs, "code", failure.Code, "err", err)...)
	}
	return failure
}
