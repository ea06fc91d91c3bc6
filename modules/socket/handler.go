package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// defaultHandlerTimeout is the deadline of a handler's context.
const defaultHandlerTimeout = 15 * time.Second

// Handler handles an event, or the beginning or end of a socket. Create it with [On],
// [OnRaw], [OnAny], [OnConnect], [OnDisconnecting], [OnDisconnect], [Use] or [UseEvent].
type Handler struct {
	namespace string // "": the main namespace
	event     string
	any       bool
	about     Event          // of a typed handler
	owner     *adapter.Owner // nil: the program

	// One of these is set.
	typed         func(ctx context.Context, s *Socket, data json.RawMessage) ([]byte, error)
	raw           func(ctx context.Context, s *Socket, event string, args Args) (Args, error)
	use           func(ctx context.Context, s *Socket) error
	useEvent      func(ctx context.Context, s *Socket, event string, args Args, next Next) (Args, error)
	connect       func(ctx context.Context, s *Socket) error
	disconnecting func(s *Socket, reason engine.Reason)
	disconnect    func(s *Socket, reason engine.Reason)
	expiring      func(s *Socket, expires time.Time)
}

// serves reports whether the handler handles events.
func (h Handler) serves() bool { return h.typed != nil || h.raw != nil }

// call calls an event handler.
func (h Handler) call(ctx context.Context, s *Socket, event string, args Args) (Args, error) {
	if h.raw != nil {
		return h.raw(ctx, s, event, args)
	}
	data, err := argument(args)
	if err != nil {
		return nil, err
	}
	raw, err := Args{data}.json(0)
	if err != nil {
		return nil, err
	}
	reply, err := h.typed(ctx, s, raw)
	return Args{json.RawMessage(reply)}, err
}

// argument returns the only argument, or the zero value if there is none.
func argument[T any](args []T) (data T, err error) {
	switch len(args) {
	case 0:
		return data, nil
	case 1:
		return args[0], nil
	default:
		return data, fault.ErrBadRequest.WithMessage("an event has one argument: its data")
	}
}

// On returns a handler that answers an event with the result of fn. The event's data is
// decoded into Req. Unknown fields and values of the wrong type are refused as
// validation_failed, with the name of the field. null or missing data leaves Req unchanged.
// If Req has a method Validate() error, it is called before fn. A Req of type
// json.RawMessage gets the data undecoded.
//
// The answer is Rep as JSON, or the code and message of a [fault.Error]. Any other error,
// and a panic, is logged and answered as "internal". ctx ends after 15 s; an error because
// of that is answered as "unavailable".
//
// The socket's next message waits until fn returns. Only a module's handler can handle an
// event that the module has reserved: see [ModuleHandlers].
func On[Req, Rep any](event string, fn func(ctx context.Context, s *Socket, req Req) (Rep, error)) Handler {
	about := Event{Name: event, Data: reflect.TypeFor[Req](), Answer: reflect.TypeFor[Rep]()}
	return Handler{event: event, about: about, typed: func(ctx context.Context, s *Socket, data json.RawMessage) ([]byte, error) {
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

// OnRaw returns a handler that gets all arguments of an event, and acknowledges as Node's
// server does: with the arguments that fn returns. An error is acknowledged with one
// argument, {"error":{code, message}}. For ctx, errors and the order of messages see [On].
func OnRaw(event string, fn func(ctx context.Context, s *Socket, args Args) (Args, error)) Handler {
	return Handler{event: event, raw: func(ctx context.Context, s *Socket, _ string, args Args) (Args, error) {
		return fn(ctx, s, args)
	}}
}

// OnAny returns a handler for events without their own handler. It answers like [OnRaw]. A
// namespace has at most one.
func OnAny(fn func(ctx context.Context, s *Socket, event string, args Args) (Args, error)) Handler {
	return Handler{any: true, raw: fn}
}

// Use returns middleware that runs for each socket before the OnConnect handlers, in the
// order of registration. An error refuses the socket, as in [OnConnect].
func Use(fn func(ctx context.Context, s *Socket) error) Handler { return Handler{use: fn} }

// Next calls the remaining middleware, and then the event's handler.
type Next func(ctx context.Context) (Args, error)

// UseEvent returns middleware that runs for each event that has a handler, in the order of
// registration. fn calls next, with the same or another context, and returns next's answer
// or another one. To refuse the event, it returns an error instead.
func UseEvent(fn func(ctx context.Context, s *Socket, event string, args Args, next Next) (Args, error)) Handler {
	return Handler{useEvent: fn}
}

// OnDisconnecting returns a handler that runs once for each socket for which OnConnect
// handlers have run, before the socket leaves its rooms: see [Socket.Rooms]. It must not
// block, because other connections wait for it.
func OnDisconnecting(fn func(s *Socket, reason engine.Reason)) Handler {
	return Handler{disconnecting: fn}
}

// OnConnect returns a handler that runs for each socket before its client is told that it
// is connected. What fn sends reaches the client after that. An error refuses the socket,
// with the code and message of a [fault.Error] or else with "internal". Handlers run in the
// order of registration. Over Socket.IO, they share the 15 s of their context with the
// [Authenticator].
func OnConnect(fn func(ctx context.Context, s *Socket) error) Handler { return Handler{connect: fn} }

// OnDisconnect returns a handler that runs once for each socket for which OnConnect
// handlers have run, even if they refused it. It runs after the socket's last message. By
// then the socket has left its rooms and nothing can be sent to it, unless its client may
// come back: see [Config].Recovery.
func OnDisconnect(fn func(s *Socket, reason engine.Reason)) Handler {
	return Handler{disconnect: fn}
}

// ModuleHandlers makes the handlers belong to the module that owns o. They may handle
// events that it has reserved.
func ModuleHandlers(o *adapter.Owner, list ...Handler) []Handler {
	list = slices.Clone(list)
	for i := range list {
		list[i].owner = o
	}
	return list
}

// errPanicked stands for a panic that has been logged.
var errPanicked = errors.New("a handler panicked")

// isolated runs fn and turns a panic into errPanicked.
func (g *Gateway) isolated(ctx context.Context, fn func() error, attrs ...any) (err error) {
	defer func() {
		if v := recover(); v != nil {
			g.log.ErrorContext(ctx, "socket: a handler panicked", append(attrs, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))...)
			err = fault.ErrInternal.WithCause(errPanicked)
		}
	}()
	return fn()
}

// call is a message, or the connecting of a socket, that is being handled.
type call struct{ after []func() }

type callKey struct{}

// After runs fn once the answer to the current message has been sent, whatever the answer
// is. In an OnConnect handler, fn runs once the client has been told that it is connected
// or refused. ctx must be the handler's context or derived from it; with any other context,
// fn runs at once. Call After from the handler's goroutine.
func After(ctx context.Context, fn func()) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.after = append(c.after, fn)
		return
	}
	fn()
}

// beginCall returns a context for [After]. Call finishCall after the answer.
func beginCall(ctx context.Context) (context.Context, *call) {
	c := new(call)
	return context.WithValue(ctx, callKey{}, c), c
}

func (g *Gateway) finishCall(ctx context.Context, c *call) {
	for _, after := range c.after {
		_ = g.isolated(ctx, func() error {
			after()
			return nil
		}, "handler", "after")
	}
}

// errUnknownEvent answers an event that has no handler.
var errUnknownEvent = fault.New(fault.NotFound, UnknownEvent, "there is no event of this name")

// explain converts err for the client. It logs the details that the client must not get.
func (g *Gateway) explain(ctx context.Context, err error, attrs ...any) *fault.Error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		level := slog.LevelWarn
		if errors.Is(ctx.Err(), context.Canceled) { // the client has left
			level = slog.LevelDebug
		}
		g.log.Log(ctx, level, "socket: a handler timed out", append(attrs, "err", err)...)
		return fault.ErrUnavailable.WithMessage("this took too long; try again").WithCause(err)
	}
	failure := fault.From(err)
	switch {
	case errors.Is(err, errPanicked):
	case failure.Kind == fault.Internal:
		g.log.ErrorContext(ctx, "socket: a handler failed", append(attrs, "err", err)...)
	default:
		g.log.DebugContext(ctx, "socket: a handler refused a request", append(attrs, "code", failure.Code, "err", err)...)
	}
	return failure
}
