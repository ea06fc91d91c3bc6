package nodebridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// classic is the protocol of createAdapter in @socket.io/redis-adapter 8, and of
// @socket.io/redis-emitter. Broadcasts are msgpack arrays. Requests and responses are JSON
// objects, or msgpack objects if they may contain binary data.
type classic struct{ key string }

// The types of requests and responses.
const (
	classicSockets = iota
	classicAllRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicServerSideEmit
	classicBroadcast
	classicClientCount
	classicAck
)

// classicMessage has the fields of all requests and responses.
type classicMessage struct {
	Sender   string          `json:"uid,omitempty"`
	Question string          `json:"requestId,omitempty"`
	Type     *int            `json:"type,omitempty"`
	Packet   json.RawMessage `json:"packet,omitempty"`
	To       *selection      `json:"opts,omitempty"`
	Rooms    names           `json:"rooms,omitempty"`
	Sockets  json.RawMessage `json:"sockets,omitempty"`
	Count    *int            `json:"clientCount,omitempty"`
	Close    *bool           `json:"close,omitempty"`
	SocketID string          `json:"sid,omitempty"`  // instead of opts, in requests of older versions
	Room     string          `json:"room,omitempty"` // instead of rooms, in requests of older versions
}

func (c classic) name() string                 { return "classic" }
func (c classic) roomsOf(ns string) string     { return c.key + "#" + ns + "#" }
func (c classic) requestsOf(ns string) string  { return c.key + "-request#" + ns + "#" }
func (c classic) responsesOf(ns string) string { return c.key + "-response#" + ns + "#" }

func (c classic) subscribe(ctx context.Context, conn *redis.PubSub, ns, self string) error {
	return errors.Join(
		conn.PSubscribe(ctx, c.pattern(ns)),
		conn.Subscribe(ctx, c.requestsOf(ns), c.responsesOf(ns), c.responsesOf(ns)+self+"#"))
}

// channels returns the number of channels of a namespace.
func (c classic) channels() int { return 4 }

// pattern matches the channels of broadcasts.
func (c classic) pattern(ns string) string { return literal.Replace(c.roomsOf(ns)) + "*" }

// namespace returns the namespace to whose subscription a message belongs.
func (c classic) namespace(m *redis.Message, known []string) string {
	for _, ns := range known {
		switch {
		case m.Pattern == c.pattern(ns),
			m.Pattern == "" && m.Channel == c.requestsOf(ns),
			m.Pattern == "" && strings.HasPrefix(m.Channel, c.responsesOf(ns)):
			return ns
		}
	}
	return ""
}

// literal escapes the special characters of a pattern.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// room returns the room to which a channel is limited, or an empty string.
func (c classic) room(ns, channel string) string {
	room, isRoom := strings.CutPrefix(channel, c.roomsOf(ns))
	if !isRoom {
		return ""
	}
	return strings.TrimSuffix(room, "#")
}

func (c classic) servers(ctx context.Context, client redis.UniversalClient, ns string) (int, error) {
	counts, err := client.PubSubNumSub(ctx, c.requestsOf(ns)).Result()
	return int(counts[c.requestsOf(ns)]), err
}

func (c classic) publish(ctx context.Context, pipe redis.Pipeliner, channel, payload string) redis.Cmder {
	return pipe.Publish(ctx, channel, payload)
}

// encode implements [dialect]. An answer goes to the server that asked, if its id is known.
func (c classic) encode(m message, self string) (channel, payload string, err error) {
	out := classicMessage{Sender: self, Question: m.question, To: &m.to}
	if m.kind != broadcast && m.to.Flags != nil && *m.to.Flags == (flags{}) {
		out.To = &selection{Rooms: m.to.Rooms, Except: m.to.Except}
	}
	channel = c.requestsOf(m.namespace)
	attachments, binary := m.event.Binary, false
	kindOf := func(t int) { out.Type = &t }
	switch m.kind {
	case broadcast:
		if m.question == "" {
			channel = c.roomsOf(m.namespace)
			if len(m.to.Rooms) == 1 {
				channel += m.to.Rooms[0] + "#"
			}
			payload, err = write([]any{self, packetOf(m, m.namespace), m.to}, attachments, true)
			return channel, payload, err
		}
		kindOf(classicBroadcast)
		out.Packet, err = packetOf(m, m.namespace).encode()
		binary = true
	case join:
		kindOf(classicJoin)
		out.Rooms = m.rooms
	case leave:
		kindOf(classicLeave)
		out.Rooms = m.rooms
	case disconnect:
		kindOf(classicDisconnect)
		out.Close = &m.close
	case fetch:
		kindOf(classicFetch)
	default:
		out.Sender, out.To = "", nil
		channel = c.responsesOf(m.namespace)
		if m.sender != "" {
			channel += m.sender + "#"
		}
		switch m.kind {
		case answerSockets:
			out.Sockets, err = rawjson.Marshal(m.sockets)
		case answerIDs:
			out.Sockets, err = rawjson.Marshal(notNil(m.rooms))
		case answerRooms:
			payload, err = write(struct {
				Question string   `json:"requestId"`
				Rooms    []string `json:"rooms"` // also if it is empty
			}{m.question, notNil(m.rooms)}, nil, false)
			return channel, payload, err
		case answerCount:
			kindOf(classicClientCount)
			out.Count = &m.count
		case answerAck:
			kindOf(classicAck)
			out.Packet, attachments, err = firstOf(m.ack)
			binary = true
		}
	}
	if err != nil {
		return "", "", err
	}
	payload, err = write(out, attachments, binary)
	return channel, payload, err
}

func (c classic) decode(ns, channel, payload string) (message, error) {
	m := message{namespace: ns}
	text, attachments, err := read(payload)
	if err != nil {
		return m, err
	}
	switch {
	case strings.HasPrefix(channel, c.roomsOf(ns)):
		err = m.setClassicBroadcast(text, attachments)
	case strings.HasPrefix(channel, c.responsesOf(ns)):
		err = m.setClassicResponse(text, attachments)
	default:
		err = m.setClassicRequest(text, attachments)
	}
	return m, err
}

func (m *message) setClassicBroadcast(text []byte, attachments [][]byte) error {
	var parts []json.RawMessage
	var p eventPacket
	if err := unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return errMalformed
	}
	for i, part := range []any{&m.sender, &p, &m.to} {
		if err := unmarshal(parts[i], part); err != nil {
			return err
		}
	}
	return m.setBroadcast(p, attachments)
}

// setBroadcast reads an event for the channel's namespace. It ignores events of other
// namespaces.
func (m *message) setBroadcast(p eventPacket, attachments [][]byte) error {
	if p.Namespace != m.namespace && (p.Namespace != "" || m.namespace != "/") {
		return nil
	}
	m.kind = broadcast
	m.setTimeout()
	return m.setEvent(p, attachments)
}

func (m *message) setClassicRequest(text []byte, attachments [][]byte) error {
	var in classicMessage
	if err := unmarshal(text, &in); err != nil {
		return err
	}
	if in.Type == nil {
		return errMalformed
	}
	m.sender, m.question, m.rooms = in.Sender, in.Question, in.Rooms
	m.close = in.Close != nil && *in.Close
	if in.To != nil {
		m.to = *in.To
	}
	if in.SocketID != "" { // an older version asks for one socket
		m.to.Rooms = []string{in.SocketID}
		if in.Room != "" {
			m.rooms = []string{in.Room}
		}
	}
	if in.To == nil && in.SocketID == "" && *in.Type != classicAllRooms && *in.Type != classicSockets {
		return nil // otherwise it would apply to all sockets
	}
	switch *in.Type {
	case classicSockets:
		m.kind, m.to.Rooms, m.rooms = listSockets, in.Rooms, nil
	case classicAllRooms:
		m.kind = listRooms
	case classicJoin:
		m.kind = join
	case classicLeave:
		m.kind = leave
	case classicDisconnect:
		m.kind = disconnect
	case classicFetch:
		m.kind = fetch
	case classicBroadcast:
		var p eventPacket
		if err := unmarshal(in.Packet, &p); err != nil {
			return err
		}
		return m.setBroadcast(p, attachments)
	}
	return nil
}

func (m *message) setClassicResponse(text []byte, attachments [][]byte) error {
	var in classicMessage
	if err := unmarshal(text, &in); err != nil {
		return err
	}
	m.question = in.Question
	switch {
	case in.Type == nil && in.Sockets != nil:
		m.kind = answerSockets
		return unmarshal(in.Sockets, &m.sockets)
	case in.Type != nil && *in.Type == classicClientCount:
		return m.setCount(in.Count)
	case in.Type != nil && *in.Type == classicAck:
		m.kind = answerAck
		return m.setAck(in.Packet, attachments)
	}
	return nil
}
