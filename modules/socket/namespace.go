package socket

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// mainNamespace is the only one that there is.
const mainNamespace = "/"

// invalidNamespace answers a client that wants another, in the words of Node's
// server.
var invalidNamespace = json.RawMessage(`{"message":"Invalid namespace"}`)

// An acknowledgement has one argument: {"data":…} or {"error":…}.
var dataKey, errorKey, endOfObject = []byte(`{"data":`), []byte(`{"error":`), []byte(`}`)

// socketIO is the Socket.IO endpoint. A connection joins the main namespace, may
// leave it and join again. What a client must not send closes the connection
// with a parse error: anything but a CONNECT before it has joined, a CONNECT
// after, binary packets, what cannot be decoded.
type socketIO struct{}

var _ endpoint = socketIO{}

func (socketIO) codec() adapter.Codec { return socketIOCodec{} }
func (socketIO) name() string         { return "socketio" }

func (socketIO) farewell() *engine.Frame { return frameOf(packet.Packet{Type: packet.Disconnect}) }

func frameOf(p packet.Packet) *engine.Frame { return engine.EngineIO.Frame(p.Append(nil)) }

func (d socketIO) receive(ctx context.Context, s *session, data []byte) {
	p, err := packet.Decode(data)
	switch {
	case err != nil:
		s.gateway.log.Debug("socket: a packet cannot be decoded", "remote", s.handshake.RemoteAddr, "err", err)
		s.conn.Close(engine.ParseError)
	case p.Namespace != mainNamespace:
		d.receiveElsewhere(s, p)
	case s.socket == nil:
		if p.Type != packet.Connect {
			s.conn.Close(engine.ParseError)
			return
		}
		d.connect(ctx, s, p.Data)
	case p.Type == packet.Event:
		d.event(ctx, s.socket, s.gateway, p)
	case p.Type == packet.Disconnect:
		d.leave(s)
	case p.Type == packet.Ack: // nothing that is sent asks for one
	default:
		s.conn.Close(engine.ParseError)
	}
}

// receiveElsewhere takes a packet for a namespace that does not exist.
func (socketIO) receiveElsewhere(s *session, p packet.Packet) {
	if p.Type != packet.Connect {
		s.conn.Close(engine.ParseError)
		return
	}
	s.conn.Send(frameOf(packet.Packet{Type: packet.ConnectError, Namespace: p.Namespace, Data: invalidNamespace}))
}

// connect lets the client in when its token is good. It may try again over the
// same connection.
func (socketIO) connect(ctx context.Context, s *session, payload json.RawMessage) {
	h := s.handshake
	h.Auth = payload
	if token := tokenIn(payload); token != "" {
		h.Token = token
	}
	refuse := func(failure *fault.Error) {
		s.conn.Send(frameOf(packet.Packet{Type: packet.ConnectError, Data: encodeRefusal(failure)}))
		s.expectSocket()
	}
	identity, failure := s.gateway.authenticate(ctx, h)
	if failure != nil {
		refuse(failure)
		return
	}
	_ = s.connect(ctx, identity, func(socket *Socket) *engine.Frame {
		s.handshake.Header, s.handshake.Query, s.handshake.Context = nil, nil, nil // a connection may last for days
		return frameOf(packet.Packet{Type: packet.Connect, Data: append(rawjson.AppendString([]byte(`{"sid":`), socket.ID()), '}')})
	}, refuse)
}

func (socketIO) event(ctx context.Context, s *Socket, g *Gateway, p packet.Packet) {
	var data json.RawMessage
	if len(p.Args) > 0 {
		data = p.Args[0]
	}
	var reply []byte
	var failure *fault.Error
	g.within(ctx, func(ctx context.Context) {
		if len(p.Args) > 1 {
			failure = fault.ErrBadRequest.WithMessage("an event has one argument: its data")
			return
		}
		reply, failure = g.handle(ctx, s, p.Name, data)
	}, func() {
		if !p.HasID {
			return
		}
		key, value := dataKey, reply
		if failure != nil {
			key, value = errorKey, encodeFault(failure)
		}
		head, tail := packet.AckParts(p.ID)
		s.Send(engine.EngineIO.Frame(head, key, value, endOfObject, tail))
	})
}

// leave ends the socket as its client asked; the connection may join again.
func (socketIO) leave(s *session) {
	socket := s.socket
	s.drop(socket)
	socket.close()
	s.gateway.disconnected(socket, engine.ClientDisconnect)
	s.connectSoon()
}
