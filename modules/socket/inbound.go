package socket

import (
	"bytes"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// inbound is a message of the client, with the binary messages that belong to it.
type inbound struct {
	data    []byte
	binary  [][]byte
	refused error // why the request is refused: a limit is reached
}

func (in inbound) cost() int64 {
	cost := int64(len(in.data)) + messageCost
	for _, data := range in.binary {
		cost += int64(len(data)) + messageCost
	}
	return cost
}

// Message implements [engine.Receiver].
func (s *session) Message(data []byte, binary bool) {
	in, complete, ok := s.assemble(data, binary)
	switch {
	case !ok:
		s.conn.Close(engine.ParseError)
	case !complete:
	case s.endpoint != (plain{}) && packet.IsConnect(in.data) && !s.conn.Control():
	case s.endpoint != (plain{}) && packet.IsAck(in.data):
		s.acknowledged(in)
	default:
		s.enqueue(in)
	}
}

// assemble returns a message once its binary messages have arrived. ok is false for a
// message out of order, or if they are too large.
func (s *session) assemble(data []byte, binary bool) (in inbound, complete, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case binary != (s.partial != nil), s.isTooMuchLocked(data):
		return in, false, false
	case !binary:
		in.data = bytes.Clone(data)
		if s.missing = packet.Attachments(data); s.missing == 0 || s.endpoint == (plain{}) {
			return in, true, true
		}
		s.partial = &in
		return in, false, true
	}
	s.partial.binary = append(s.partial.binary, bytes.Clone(data))
	in = *s.partial
	if in.cost() > queuedMessages*s.gateway.cfg.MaxFrame {
		return in, false, false
	}
	if complete = len(in.binary) == s.missing; complete {
		s.partial = nil
	}
	return in, complete, true
}

// isTooMuchLocked reports whether a message is too large for a client without a verified
// token.
func (s *session) isTooMuchLocked(data []byte) bool {
	return !s.met && s.endpoint != (plain{}) && (len(data) > strangerBytes || packet.Attachments(data) > 0)
}

// acknowledged handles the client's answer to [Socket.EmitWithAck]. It is not queued behind
// other messages, because their handler may wait for it.
func (s *session) acknowledged(in inbound) {
	p, err := packet.Decode(in.data, in.binary...)
	s.mu.Lock()
	socket := s.findLocked(p.Namespace)
	s.mu.Unlock()
	if err != nil || socket == nil {
		s.conn.Close(engine.ParseError)
		return
	}
	socket.acknowledge(&p)
}

func (s *session) enqueue(in inbound) {
	if s.queueRequest(in) {
		s.disconnectAll(engine.RateLimited)
	}
}

// queueRequest queues a request. It returns true if the client keeps sending requests
// although they are refused.
func (s *session) queueRequest(in inbound) (insists bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if in.refused, insists = s.chargeLocked(in); in.refused != nil {
		s.throttleLocked(fault.From(in.refused).Retry)
	}
	s.queue = append(s.queue, in)
	s.queued += in.cost()
	s.startLocked()
	s.updatePauseLocked()
	return insists
}
