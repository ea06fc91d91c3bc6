package nodebridge

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/packet"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// maxAttachments is the maximum number of attachments that clients accept in an event.
const maxAttachments = packet.MaxAttachments

var (
	errNoRooms = errors.New("nodebridge: it does not say for which rooms it is")
	errBusy    = errors.New("nodebridge: too many acknowledgements are waited for")
)

func (m *message) isAnswer() bool { return m.kind >= answerSockets }

// serve carries out another server's request. It ignores names of rooms that a module has
// reserved, so that no module's event can be forged.
func (l *link) serve(m message) error {
	local := l.b.local
	if m.to.Rooms == nil && m.kind != listRooms && m.kind != listSockets {
		return errNoRooms // an empty list would mean all sockets
	}
	to := m.selection()
	switch m.kind {
	case broadcast:
		if m.question != "" {
			return l.collect(m, to)
		}
		return local.Emit(to, m.event)
	case join:
		local.Join(to, m.rooms)
	case leave:
		local.Leave(to, m.rooms)
	case disconnect:
		local.Disconnect(to, m.close)
	case fetch:
		answer := m.answer(answerSockets)
		answer.sockets = l.describe(local.Sockets(to))
		return l.send(answer)
	case listSockets:
		answer := m.answer(answerIDs)
		for _, s := range local.Sockets(to) {
			answer.rooms = append(answer.rooms, s.ID())
		}
		return l.send(answer)
	case listRooms:
		answer := m.answer(answerRooms)
		for _, s := range local.Sockets(socket.Selection{Namespace: m.namespace}) {
			answer.rooms = append(answer.rooms, local.Rooms(s)...)
		}
		slices.Sort(answer.rooms)
		answer.rooms = slices.Compact(answer.rooms)
		return l.send(answer)
	}
	return nil
}

// answer returns an answer to m.
func (m *message) answer(kind kind) message {
	return message{kind: kind, namespace: m.namespace, sender: m.sender, question: m.question}
}

// answerNothing answers a question of another node of Moim. The node asks the same question
// through their own adapter.
func (l *link) answerNothing(m message) {
	switch m.kind {
	case fetch:
		_ = l.send(m.answer(answerSockets)) // if the answer is lost, this node counts as missing
	case broadcast:
		_ = l.send(m.answer(answerCount))
	}
}

// collect emits an event. It sends the number of clients, and then their acknowledgements
// as they come. It returns when the event is emitted.
func (l *link) collect(m message, to socket.Selection) error {
	select {
	case l.b.running <- struct{}{}:
	default:
		return errBusy
	}
	if m.timeout == 0 {
		m.timeout = maxPatience
	}
	emitted := make(chan error, 1)
	l.b.tasks.Run(func(ctx context.Context) {
		defer func() { <-l.b.running }()
		ctx, cancel := context.WithTimeout(ctx, m.timeout)
		defer cancel()
		asked := func(n int) {
			answer := m.answer(answerCount)
			answer.count = n
			emitted <- l.send(answer)
		}
		reply := func(args socket.Args) {
			answer := m.answer(answerAck)
			answer.ack = args
			if err := l.send(answer); err != nil {
				l.b.drop(l, "", err)
			}
		}
		err := l.b.local.EmitWithAck(ctx, to, m.event, asked, reply)
		select {
		case emitted <- err: // if the event was not emitted
		default:
		}
	})
	select {
	case err := <-emitted:
		return err
	case <-l.b.tasks.Context().Done():
		return nil
	}
}

// describe returns sockets in the form that Node's servers expect.
func (l *link) describe(sockets []*socket.Socket) []remoteSocket {
	list := make([]remoteSocket, 0, len(sockets))
	for _, s := range sockets {
		data, _ := rawjson.Marshal(map[string]string{"userId": s.UserID()}) // a string
		list = append(list, remoteSocket{s.ID(), handshakeOf(s), l.b.local.Rooms(s), data})
	}
	return list
}

// handshake is a client's handshake in Node's form. Moim does not keep its time and
// address.
type handshake struct {
	Headers map[string]string `json:"headers"`
	Time    string            `json:"time"`
	Address string            `json:"address"`
	XDomain bool              `json:"xdomain"`
	Secure  bool              `json:"secure"`
	Issued  int64             `json:"issued"`
	URL     string            `json:"url"`
	Query   map[string]string `json:"query"`
	Auth    json.RawMessage   `json:"auth"`
}

// Only these headers and parameters are published on Redis, because others may contain
// tokens.
var (
	sharedHeaders = []string{"User-Agent", "Origin", "Accept-Language", "X-Forwarded-For", "X-Real-Ip"}
	sharedQuery   = []string{"EIO", "transport"}
)

func handshakeOf(s *socket.Socket) json.RawMessage {
	h := s.Handshake()
	out := handshake{Headers: make(map[string]string), Query: make(map[string]string), Address: h.RemoteAddr, Auth: json.RawMessage("{}")}
	if i := strings.LastIndexByte(out.Address, ':'); i >= 0 {
		out.Address = strings.Trim(out.Address[:i], "[]")
	}
	for _, name := range sharedHeaders {
		if values := h.Header.Values(name); len(values) > 0 {
			out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	for _, name := range sharedQuery {
		if h.Query.Has(name) {
			out.Query[name] = h.Query.Get(name)
		}
	}
	data, _ := rawjson.Marshal(out) // strings
	return data
}

// firstOf encodes the first argument of an acknowledgement. Node's servers expect only one.
func firstOf(args socket.Args) (text json.RawMessage, attachments [][]byte, err error) {
	if len(args) == 0 {
		return json.RawMessage("null"), nil, nil
	}
	data, attachments, err := packet.EncodeArgs(args[:1])
	return data, attachments, err
}

// argsOf returns the arguments of an acknowledgement.
func argsOf(arg json.RawMessage, attachments [][]byte) (socket.Args, error) {
	p := packet.Packet{Args: []json.RawMessage{arg}, Binary: attachments}
	return p.Values()
}
