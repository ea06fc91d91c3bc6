package socket

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// invalidNamespace answers a CONNECT to an unknown namespace, as Node's server does.
var invalidNamespace = json.RawMessage(`{"message":"Invalid namespace"}`)

// The acknowledgement of an [On] handler has one argument: {"data":…} or {"error":…}.
var dataKey, errorKey, endOfObject = []byte(`{"data":`), []byte(`{"error":`), []byte(`}`)

// socketIO is the encoding of a namespace for Socket.IO clients.
type socketIO struct {
	namespace string
	offsets   bool // clients may come back: see package recovery
}

// Event implements [adapter.Codec].
func (c socketIO) Event(env adapter.Envelope) *engine.Frame {
	head, body, tail := packet.EventParts(c.namespace, env.Event, env.Data, len(env.Binary))
	if env.Offset == "" || !c.offsets {
		return engine.EngineIO.Frame(head, body, tail).WithBinary(env.Binary)
	}
	offset := rawjson.AppendString([]byte{','}, env.Offset)
	return engine.EngineIO.Frame(head, body, offset, tail).WithOffset(env.Offset).WithBinary(env.Binary)
}

// socketIOEndpoint is the Socket.IO endpoint. A client connects to one or more namespaces,
// and may leave them and connect again. These packets close the connection with a parse
// error: a malformed packet, a second CONNECT, and another packet before CONNECT.
type socketIOEndpoint struct{}

var _ endpoint = socketIOEndpoint{}

func (socketIOEndpoint) name() string { return "socketio" }

func (socketIOEndpoint) codec(n *namespace) adapter.Codec { return n.codec }

func (socketIOEndpoint) welcome(s *Socket) *engine.Frame {
	data := rawjson.AppendString([]byte(`{"sid":`), s.ID())
	if s.recovery != nil {
		data = rawjson.AppendString(append(data, `,"pid":`...), s.recovery.Secret())
	}
	return frameOf(packet.Packet{Type: packet.Connect, Namespace: s.namespace.name, Data: append(data, '}')})
}

// refuse answers a CONNECT. The client may try again over the same connection.
func (socketIOEndpoint) refuse(s *session, n *namespace, failure *fault.Error) {
	s.conn.Send(frameOf(packet.Packet{Type: packet.ConnectError, Namespace: n.name, Data: encodeConnectError(failure)}))
	s.awaitSocket()
}

func (socketIOEndpoint) farewell(n *namespace) *engine.Frame {
	return frameOf(packet.Packet{Type: packet.Disconnect, Namespace: n.name})
}

func frameOf(p packet.Packet) *engine.Frame { return engine.EngineIO.Frame(p.Append(nil)) }

func (e socketIOEndpoint) receive(ctx context.Context, s *session, in inbound) {
	p, err := packet.Decode(in.data, in.binary...)
	var args Args
	if err == nil && len(in.binary) > 0 {
		args, err = p.Values()
	}
	if err != nil {
		s.gateway.log.DebugContext(ctx, "socket: could not decode a packet", "remote", s.handshake.RemoteAddr, "err", err)
		s.conn.Close(engine.ParseError)
		return
	}
	socket := s.find(p.Namespace)
	switch {
	case p.Type == packet.Connect && socket == nil:
		e.connect(ctx, s, p, in.refused)
	case socket == nil && s.wasDismissed(p.Namespace): // the client sent this before it knew
	case socket == nil:
		s.conn.Close(engine.ParseError)
	case socket.disconnected.Load():
	case p.Type == packet.Event:
		e.event(ctx, socket, &p, args, in.refused)
	case p.Type == packet.Disconnect:
		e.leave(s, socket)
	default:
		s.conn.Close(engine.ParseError)
	}
}

// connect authenticates a client and connects its socket.
func (e socketIOEndpoint) connect(ctx context.Context, s *session, p packet.Packet, refused error) {
	n := s.gateway.namespaces[p.Namespace]
	if n == nil {
		s.conn.Send(frameOf(packet.Packet{Type: packet.ConnectError, Namespace: p.Namespace, Data: invalidNamespace}))
		return
	}
	if refused != nil {
		e.refuse(s, n, fault.From(refused))
		return
	}
	h := *s.handshake
	h.Auth = p.Data
	if token := payloadToken(p.Data); token != "" {
		h.Token = token
	}
	identity, failure := s.gateway.authenticate(ctx, h)
	if failure != nil {
		e.refuse(s, n, failure)
		return
	}
	from := s.gateway.recovery.Search(ctx, n.name, p.Data)
	if from != nil && identity.UserID != from.User { // without users, each connection has its own user id
		h.Returning = from.User
		if again, failure := s.gateway.authenticate(ctx, h); failure == nil && again.UserID == from.User {
			identity = again
		} else {
			from = nil
		}
	}
	if failure = s.countUser(ctx, identity); failure == nil {
		failure = s.gateway.ask(ctx, identity)
	}
	if failure != nil {
		e.refuse(s, n, failure)
		return
	}
	if s.connect(ctx, n, identity, &h, from) == nil && !s.gateway.keepHandshakes {
		s.handshake.Header, s.handshake.Query = nil, nil // free them: a connection may last for days
	}
}

func (socketIOEndpoint) event(ctx context.Context, s *Socket, p *packet.Packet, args Args, refused error) {
	g := s.session.gateway
	ctx, c := beginCall(ctx)
	a, failure := g.handle(ctx, s, p, args, refused)
	if p.HasID && !a.none {
		head, tail := packet.AckParts(p.Namespace, p.ID, len(a.binary))
		var parts [][]byte
		switch {
		case failure != nil:
			head, tail = packet.AckParts(p.Namespace, p.ID, 0)
			parts, a.binary = [][]byte{head, errorKey, encodeFault(failure), endOfObject, tail}, nil
		case a.raw:
			parts = [][]byte{head, a.data, tail}
		default:
			parts = [][]byte{head, dataKey, a.data, endOfObject, tail}
		}
		s.send(engine.EngineIO.Frame(parts...).WithBinary(a.binary))
	}
	g.finishCall(ctx, c)
}

// leave closes a socket for its client. The client may connect to the namespace again.
func (socketIOEndpoint) leave(s *session, socket *Socket) {
	if !s.removeSocket(socket) {
		return
	}
	socket.close(engine.ClientDisconnect)
	s.gateway.disconnected(socket, engine.ClientDisconnect)
	s.startConnectTimeout()
}
