package socket

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// maxMalformed is the maximum number of malformed messages in a row from a plain client.
// Each one is answered. After the last one, the connection is closed.
const maxMalformed = 16

// plain is the plain WebSocket endpoint. It authenticates clients before the upgrade, and
// answers a refused client with an HTTP problem.
type plain struct{}

var _ endpoint = plain{}

// plainCodec is the encoding for clients of plain WebSockets.
type plainCodec struct{}

// Event implements [adapter.Codec]. Several arguments are encoded as an array.
func (plainCodec) Event(env adapter.Envelope) *engine.Frame {
	data := packet.Inline(env.Data, env.Binary)
	if env.List && len(data) > 0 {
		data = slices.Concat([]byte{'['}, data, []byte{']'})
	}
	head, body, tail := packet.MessageParts(env.Event, data)
	return engine.Plain.Frame(head, body, tail)
}

// reconnectFrame tells a client when to reconnect. Socket.IO clients do not get it, because
// their programs may handle all events.
func reconnectFrame(after time.Duration) *engine.Frame {
	return plainCodec{}.Event(adapter.Envelope{Event: eventReconnect, Data: encode(reconnect{After: after.Milliseconds()})})
}

func (plain) name() string                              { return "plain" }
func (plain) codec(*namespace) adapter.Codec            { return plainCodec{} }
func (plain) welcome(*Socket) *engine.Frame             { return nil }
func (plain) refuse(*session, *namespace, *fault.Error) {} // accept answers
func (plain) farewell(*namespace) *engine.Frame         { return nil }

func (p plain) receive(ctx context.Context, s *session, in inbound) {
	socket := s.find(mainNamespace)
	if socket == nil || socket.disconnected.Load() {
		return // the connection ended during admission, or the server ended it
	}
	m, err := packet.DecodeMessage(in.data)
	if err != nil {
		p.malformed(s, socket, m, err)
		return
	}
	s.malformed = 0
	g := s.gateway
	ctx, c := beginCall(ctx)
	event := &packet.Packet{Name: m.Event}
	if len(m.Data) > 0 {
		event.Args = []json.RawMessage{m.Data}
	}
	a, failure := g.handle(ctx, socket, event, nil, in.refused)
	if m.HasID {
		data := packet.Inline(a.data, a.binary)
		if a.raw {
			data = slices.Concat([]byte{'['}, data, []byte{']'})
		}
		p.answer(socket, packet.Message{ID: m.ID, HasID: true, Data: data}, failure)
	}
	g.finishCall(ctx, c)
}

func (plain) answer(s *Socket, m packet.Message, failure *fault.Error) {
	if failure != nil {
		m.Error = encodeFault(failure)
	}
	s.send(engine.Plain.Frame(m.Append(nil)))
}

// accept authenticates and connects a client.
func (p plain) accept(g *Gateway, conn *engine.Conn, h engine.Handshake, a allowance) (engine.Receiver, error) {
	ctx, cancel := context.WithTimeout(h.Context, g.handlerTimeout)
	defer cancel()
	shake := &Handshake{Handshake: h, Token: bearer(h.Header)}
	s := &session{gateway: g, conn: conn, endpoint: p, allowance: a}
	identity, failure := g.authenticate(ctx, *shake)
	if failure == nil {
		failure = s.countUser(ctx, identity)
	}
	if failure == nil {
		failure = g.ask(ctx, identity)
	}
	if failure == nil {
		failure = s.connect(ctx, g.namespaces[mainNamespace], identity, shake, nil)
	}
	if failure != nil {
		s.uncount()
		return nil, refusal{failure}
	}
	return s, nil
}

// malformed answers a message that cannot be decoded, with its id if known.
func (p plain) malformed(s *session, socket *Socket, m packet.Message, err error) {
	_, why, _ := strings.Cut(err.Error(), packet.ErrMalformed.Error()+": ")
	failure := fault.ErrBadRequest.WithMessage("the message could not be read: " + why)
	p.answer(socket, packet.Message{ID: m.ID, HasID: m.HasID}, failure)
	if s.malformed++; s.malformed >= maxMalformed {
		s.conn.Close(engine.ParseError)
	}
}
