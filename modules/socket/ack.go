package socket

import (
	"context"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// maxAcks limits how many acknowledgements of one socket can be outstanding.
const maxAcks = 1000

// Errors of [Socket.EmitWithAck].
var (
	ErrDisconnected = errors.New("socket: the client is disconnected")
	errTooManyAcks  = errors.New("socket: the client has not answered 1000 events")
	errNoAcks       = errors.New("socket: clients of plain WebSockets cannot acknowledge events")
)

// EmitWithAck sends an event and returns the arguments of the client's acknowledgement. If
// ctx ends first, it returns ctx's error. If the socket is or gets closed, it returns
// [ErrDisconnected]. Its other errors are those of [Socket.Emit]. A handler may call
// EmitWithAck, because acknowledgements are handled while the handler runs.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	env, err := encodeEvent(s.program(), event, args)
	if err != nil {
		return nil, err
	}
	answered := make(chan Args, 1)
	forget, err := s.sendWithAck(env, func(reply Args) { answered <- reply })
	if err != nil {
		return nil, err
	}
	defer forget()
	select {
	case reply := <-answered:
		if reply == nil {
			return nil, ErrDisconnected
		}
		return reply, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// sendWithAck sends an event. It calls answered once: with the acknowledgement, or with nil
// if the socket is closed. answered must not block. The caller must call forget.
func (s *Socket) sendWithAck(env adapter.Envelope, answered func(Args)) (forget func(), err error) {
	if s.session.endpoint == (plain{}) {
		return nil, errNoAcks
	}
	id, err := s.expectAck(answered)
	if err != nil {
		return nil, err
	}
	head, body, tail := packet.EventParts(s.namespace.name, env.Event, env.Data, len(env.Binary), id)
	s.send(engine.EngineIO.Frame(head, body, tail).WithBinary(env.Binary))
	return func() { s.forgetAck(id) }, nil
}

func (s *Socket) expectAck(answered func(Args)) (id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state.Load() == closed:
		return 0, ErrDisconnected
	case len(s.acks) >= maxAcks:
		return 0, errTooManyAcks
	}
	if s.acks == nil {
		s.acks = make(map[uint64]func(Args))
	}
	id = s.nextID
	s.nextID++
	s.acks[id] = answered
	return id, nil
}

func (s *Socket) forgetAck(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.acks, id)
}

// acknowledge passes on an acknowledgement. An unexpected one is ignored, as Node's server
// does, unless there are too many of them.
func (s *Socket) acknowledge(p *packet.Packet) {
	s.mu.Lock()
	answered := s.acks[p.ID]
	delete(s.acks, p.ID)
	s.mu.Unlock()
	if answered == nil {
		s.session.conn.Control()
		return
	}
	reply, err := p.Values()
	if err != nil || checkArgs(p.Args) != nil {
		s.session.conn.Close(engine.ParseError)
		return
	}
	answered(reply)
}
