package nodebridge

import (
	"context"
	"encoding/json"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// sharded is the protocol of createShardedAdapter in @socket.io/redis-adapter 8. All
// messages are objects: in JSON, or in msgpack if they contain binary data.
//
// Moim publishes to the channel of the namespace. Servers in all modes of the adapter are
// subscribed to it.
type sharded struct{ key string }

// The types of messages.
const (
	shardedBroadcast = iota + 3
	shardedJoin
	shardedLeave
	shardedDisconnect
	shardedFetch
	shardedSockets
	shardedServerSideEmit
	shardedServerSideEmitAnswer
	shardedClientCount
	shardedAck
)

type shardedMessage struct {
	Type      int         `json:"type"`
	Data      shardedData `json:"data"`
	Sender    string      `json:"uid"`
	Namespace string      `json:"nsp"`
}

// shardedData has the fields of all types of messages.
type shardedData struct {
	Packet   json.RawMessage `json:"packet,omitempty"`
	To       *selection      `json:"opts,omitempty"`
	Question string          `json:"requestId,omitempty"`
	Rooms    names           `json:"rooms,omitempty"`
	Close    *bool           `json:"close,omitempty"`
	Sockets  json.RawMessage `json:"sockets,omitempty"`
	Count    *int            `json:"clientCount,omitempty"`
}

func (s sharded) name() string             { return "sharded" }
func (s sharded) channel(ns string) string { return s.key + "#" + ns + "#" }

// roomChannel returns the channel of events for one room.
func (s sharded) roomChannel(ns, room string) string { return s.channel(ns) + room + "#" }

func (s sharded) subscribe(ctx context.Context, conn *redis.PubSub, ns, self string) error {
	return conn.SSubscribe(ctx, s.channel(ns), s.roomChannel(ns, self))
}

func (s sharded) roomChannels(rooms []room) []string {
	channels := make([]string, len(rooms))
	for i, r := range rooms {
		channels[i] = s.roomChannel(r.namespace, r.name)
	}
	return channels
}

// channels returns the number of channels of a namespace.
func (s sharded) channels() int { return 2 }

// namespace returns an empty string, because messages contain their namespace.
func (s sharded) namespace(*redis.Message, []string) string { return "" }

// room returns an empty string, because this node is subscribed only to rooms that it has.
func (s sharded) room(_, _ string) string { return "" }

func (s sharded) servers(ctx context.Context, client redis.UniversalClient, ns string) (int, error) {
	counts, err := client.PubSubShardNumSub(ctx, s.channel(ns)).Result()
	return int(counts[s.channel(ns)]), err
}

func (s sharded) publish(ctx context.Context, pipe redis.Pipeliner, channel, payload string) redis.Cmder {
	return pipe.SPublish(ctx, channel, payload)
}

func (s sharded) encode(m message, self string) (channel, payload string, err error) {
	out := shardedMessage{Sender: self, Namespace: m.namespace, Data: shardedData{Question: m.question, To: &m.to}}
	attachments := m.event.Binary
	channel = s.channel(m.namespace)
	switch m.kind {
	case broadcast:
		out.Type = shardedBroadcast
		out.Data.Packet, err = packetOf(m, "").encode()
	case join:
		out.Type, out.Data.Rooms = shardedJoin, m.rooms
	case leave:
		out.Type, out.Data.Rooms = shardedLeave, m.rooms
	case disconnect:
		out.Type, out.Data.Close = shardedDisconnect, &m.close
	case fetch:
		out.Type = shardedFetch
	default:
		out.Data.To = nil
		channel = s.roomChannel(m.namespace, m.sender)
		switch m.kind {
		case answerSockets:
			out.Type = shardedSockets
			out.Data.Sockets, err = rawjson.Marshal(m.sockets)
		case answerCount:
			out.Type, out.Data.Count = shardedClientCount, &m.count
		case answerAck:
			out.Type = shardedAck
			out.Data.Packet, attachments, err = firstOf(m.ack)
		}
	}
	if err != nil {
		return "", "", err
	}
	payload, err = write(out, attachments, false)
	return channel, payload, err
}

func (s sharded) decode(_, _, payload string) (message, error) {
	text, attachments, err := read(payload)
	if err != nil {
		return message{}, err
	}
	var in shardedMessage
	if err := unmarshal(text, &in); err != nil {
		return message{}, err
	}
	m := message{namespace: in.Namespace, sender: in.Sender, question: in.Data.Question, rooms: in.Data.Rooms}
	m.close = in.Data.Close != nil && *in.Data.Close
	if in.Data.To != nil {
		m.to = *in.Data.To
	} else if in.Type < shardedSockets {
		return m, nil // otherwise it would apply to all sockets
	}
	switch in.Type {
	case shardedBroadcast:
		p := eventPacket{}
		if err := unmarshal(in.Data.Packet, &p); err != nil {
			return m, err
		}
		p.Namespace = m.namespace
		err = m.setBroadcast(p, attachments)
	case shardedJoin:
		m.kind = join
	case shardedLeave:
		m.kind = leave
	case shardedDisconnect:
		m.kind = disconnect
	case shardedFetch:
		m.kind = fetch
	case shardedSockets:
		m.kind = answerSockets
		err = unmarshal(in.Data.Sockets, &m.sockets)
	case shardedClientCount:
		err = m.setCount(in.Data.Count)
	case shardedAck:
		m.kind = answerAck
		err = m.setAck(in.Data.Packet, attachments)
	}
	return m, err
}
