package socket

import (
	"context"
	"strings"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// maxMalformed is how many messages in a row a plain client may send that
// cannot be decoded. Each is answered; then the connection is closed.
const maxMalformed = 16

// plain is the plain WebSocket endpoint. A client is let in, or refused by an HTTP
// problem, before its connection becomes a WebSocket.
type plain struct{}

var _ endpoint = plain{}

func (plain) codec() adapter.Codec    { return plainCodec{} }
func (plain) name() string            { return "plain" }
func (plain) farewell() *engine.Frame { return nil }

func (d plain) receive(ctx context.Context, s *session, data []byte) {
	if s.socket == nil {
		return // it ended while it was let in
	}
	m, err := packet.DecodeMessage(data)
	if err != nil {
		d.refuse(s, m, err)
		return
	}
	s.malformed = 0
	g := s.gateway
	var answer packet.Message
	g.within(ctx, func(ctx context.Context) {
		reply, failure := g.handle(ctx, s.socket, m.Event, m.Data)
		answer = packet.Message{ID: m.ID, HasID: true, Data: reply}
		if failure != nil {
			answer.Error = encodeFault(failure)
		}
	}, func() {
		if m.HasID {
			s.socket.Send(engine.Plain.Frame(answer.Append(nil)))
		}
	})
}

// accept lets a client in.
func (d plain) accept(g *Gateway, conn *engine.Conn, h engine.Handshake) (engine.Receiver, error) {
	ctx, cancel := context.WithTimeout(h.Context, g.handlerTimeout)
	defer cancel()
	identity, failure := g.authenticate(ctx, Handshake{Handshake: h, Token: bearer(h.Header)})
	if failure != nil {
		return nil, refusal{failure}
	}
	s := newSession(g, conn, d, Handshake{Handshake: engine.Handshake{RemoteAddr: h.RemoteAddr, Protocol: h.Protocol}})
	failure = s.connect(ctx, identity, func(*Socket) *engine.Frame { return nil }, func(*fault.Error) {})
	if failure != nil {
		return nil, refusal{failure}
	}
	return s, nil
}

// refuse answers a message that cannot be decoded, with its id when that could
// be read.
func (plain) refuse(s *session, m packet.Message, err error) {
	_, why, _ := strings.Cut(err.Error(), packet.ErrMalformed.Error()+": ")
	failure := fault.ErrBadRequest.WithMessage("the message could not be read: " + why)
	answer := packet.Message{ID: m.ID, HasID: m.HasID, Error: encodeFault(failure)}
	s.socket.Send(engine.Plain.Frame(answer.Append(nil)))
	if s.malformed++; s.malformed >= maxMalformed {
		s.conn.Close(engine.ParseError)
	}
}
