package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// mainNamespace is the namespace of modules, and of handlers without a namespace.
const mainNamespace = "/"

// namespace holds the handlers of one namespace. It does not change after the start.
type namespace struct {
	name   string
	codec  adapter.Codec // of Socket.IO clients
	events map[string]Handler
	any    *Handler

	use, useEvent, onConnect, onExpiring, onDisconnecting, onDisconnect []Handler
}

func newNamespace(name string, cfg Config) *namespace {
	return &namespace{name: name, codec: socketIO{name, cfg.Recovery > 0}, events: make(map[string]Handler)}
}

// Of adds handlers to a namespace, whose name begins with "/". Clients connect to it in
// addition to the main namespace "/", over the same connection. Call it before the hub
// starts. In an fx program, use [In].
func (g *Gateway) Of(name string, list ...Handler) error { return g.register(In(name, list...)) }

// In returns the handlers for a namespace other than "/": see [Gateway.Of].
func In(namespace string, list ...Handler) []Handler {
	moved := make([]Handler, len(list))
	for i, h := range list {
		h.namespace = namespace
		moved[i] = h
	}
	return moved
}

// register adds handlers to their namespaces. It returns an error for every duplicate
// or invalid name.
func (g *Gateway) register(list []Handler) error {
	var errs []error
	for _, h := range list {
		name := cmp.Or(h.namespace, mainNamespace)
		if !strings.HasPrefix(name, "/") || strings.ContainsAny(name, ",\x00") || len(name) > packet.MaxNamespace {
			errs = append(errs, fmt.Errorf("socket: %q is not a namespace: it begins with / and has no comma", name))
			continue
		}
		n := g.namespaces[name]
		if n == nil {
			n = newNamespace(name, g.cfg)
			g.namespaces[name] = n
		}
		g.keepHandshakes = g.keepHandshakes || h.owner == nil
		errs = append(errs, n.add(h, cmp.Or(h.owner, g.program())))
	}
	return errors.Join(errs...)
}

func (n *namespace) add(h Handler, owner *adapter.Owner) error {
	switch {
	case h.use != nil:
		n.use = append(n.use, h)
	case h.useEvent != nil:
		n.useEvent = append(n.useEvent, h)
	case h.connect != nil:
		n.onConnect = append(n.onConnect, h)
	case h.expiring != nil:
		n.onExpiring = append(n.onExpiring, h)
	case h.disconnecting != nil:
		n.onDisconnecting = append(n.onDisconnecting, h)
	case h.disconnect != nil:
		n.onDisconnect = append(n.onDisconnect, h)
	case h.any && n.any != nil:
		return errors.New("socket: two OnAny handlers")
	case h.any:
		n.any = &h
	case !h.serves():
		return errors.New("socket: a handler without a function: create it with On, OnRaw, OnAny, OnConnect or OnDisconnect")
	case n.events[h.event].serves():
		return fmt.Errorf("socket: two handlers for event %q", h.event)
	default:
		n.events[h.event] = h
		return checkEvent(owner, h.event)
	}
	return nil
}

// connected runs the middleware and the OnConnect handlers, up to the first error.
func (g *Gateway) connected(ctx context.Context, s *Socket) *fault.Error {
	attrs := []any{"handler", "connect", "user", s.UserID(), "socket", s.ID()}
	for _, h := range s.namespace.use {
		if err := g.isolated(ctx, func() error { return h.use(ctx, s) }, attrs...); err != nil {
			return g.explain(ctx, err, attrs...)
		}
	}
	for _, h := range s.namespace.onConnect {
		if err := g.isolated(ctx, func() error { return h.connect(ctx, s) }, attrs...); err != nil {
			return g.explain(ctx, err, attrs...)
		}
	}
	return nil
}

// disconnecting runs the OnDisconnecting handlers.
func (g *Gateway) disconnecting(s *Socket, reason engine.Reason) {
	for _, h := range s.namespace.onDisconnecting {
		_ = g.isolated(context.Background(), func() error {
			h.disconnecting(s, reason)
			return nil
		}, "handler", "disconnecting", "user", s.UserID(), "socket", s.ID())
	}
}

// disconnected runs the OnDisconnect handlers.
func (g *Gateway) disconnected(s *Socket, reason engine.Reason) {
	g.metrics.disconnect(s.session.endpoint.name(), reason)
	for _, h := range s.namespace.onDisconnect {
		_ = g.isolated(context.Background(), func() error {
			h.disconnect(s, reason)
			return nil
		}, "handler", "disconnect", "user", s.UserID(), "socket", s.ID())
	}
	if s.recovery != nil {
		s.recovery.End()
	}
}

// answer is the answer to an event.
type answer struct {
	data   []byte // JSON: the result of an On handler, or the arguments of a raw one
	binary [][]byte
	raw    bool // acknowledge as Node's server does
	none   bool // do not answer: Node's server does not answer unknown events
}

// handle calls the handler of an event. args are its arguments if it is binary. If refused
// is set, the event is answered with it and not handled.
func (g *Gateway) handle(ctx context.Context, s *Socket, p *packet.Packet, args Args, refused error) (answer, *fault.Error) {
	n := s.namespace
	h, known := n.events[p.Name]
	switch {
	case known:
	case n.any != nil:
		h = *n.any
	case n.name == mainNamespace:
		g.metrics.event("unknown", errUnknownEvent, 0)
		return answer{}, errUnknownEvent
	default:
		g.metrics.event("unknown", errUnknownEvent, 0)
		return answer{none: true}, nil
	}
	label := p.Name
	if !known {
		label = "any" // clients choose the names
	}
	began := time.Now()
	ctx, span := g.trace(ctx, s, label)
	attrs := []any{"event", p.Name, "user", s.UserID(), "socket", s.ID()}
	a := answer{raw: h.typed == nil}
	err := refused
	if err == nil {
		err = checkArgs(p.Args)
	}
	if err == nil {
		err = g.isolated(ctx, func() error {
			return g.run(ctx, s, func() error { return g.serve(ctx, s, h, p, args, &a) })
		}, attrs...)
	}
	failure := g.explain(ctx, err, attrs...)
	endTrace(span, failure)
	g.metrics.event(label, failure, time.Since(began))
	return a, failure
}

// serve calls the handler of an event through the namespace's middleware.
func (g *Gateway) serve(ctx context.Context, s *Socket, h Handler, p *packet.Packet, args Args, a *answer) error {
	if h.typed != nil && len(s.namespace.useEvent) == 0 && args == nil {
		data, err := argument(p.Args)
		if err == nil {
			a.data, err = h.typed(ctx, s, data)
		}
		return err
	}
	if args == nil {
		for _, arg := range p.Args {
			args = append(args, arg)
		}
	}
	reply, err := s.namespace.through(ctx, s, h, p.Name, args)
	if err != nil {
		return err
	}
	if !a.raw { // it has exactly one value
		reply = Args{slices.Concat(reply, Args{nil})[0]}
	}
	a.data, a.binary, err = encodeReply(reply)
	return err
}

// through calls the event middleware in order, and then the handler.
func (n *namespace) through(ctx context.Context, s *Socket, h Handler, event string, args Args) (Args, error) {
	next := func(ctx context.Context) (Args, error) { return h.call(ctx, s, event, args) }
	for i := len(n.useEvent) - 1; i >= 0; i-- {
		middleware, inner := n.useEvent[i].useEvent, next
		next = func(ctx context.Context) (Args, error) { return middleware(ctx, s, event, args, inner) }
	}
	return next(ctx)
}
