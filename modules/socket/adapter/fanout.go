package adapter

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/modules/socket/engine"
)

const (
	// fanOutAlone is how many sockets one goroutine writes to by itself, in
	// some milliseconds. Larger rooms are shared among processors, which costs
	// a little more in all.
	fanOutAlone = 1024
	// fanOutChunk is how many sockets a goroutine takes at a time then.
	fanOutChunk = 256
)

// Message is an envelope on its way to sockets of this node. It is encoded once
// for each codec, however many sockets it is sent to and however often. It must
// not be sent by several goroutines at a time.
type Message struct {
	env    Envelope
	frames [4]frame // there are few codecs: looking through them is faster than a map
	codecs int      // how many of frames are there
}

// frame is a message as one codec encodes it.
type frame struct {
	codec Codec
	frame *engine.Frame
}

// NewMessage returns a message that sends env.
func NewMessage(env Envelope) *Message { return &Message{env: env} }

// Send sends messages to sockets, each of which gets them in this order and,
// where it can, in one write. When Send returns each socket has been sent them,
// so that what is sent next follows.
func Send(messages []*Message, sockets ...Socket) {
	if len(sockets) <= fanOutAlone {
		send(messages, sockets)
		return
	}
	send(messages, sockets[:fanOutChunk]) // meets all codecs, in all likelihood
	share(messages, sockets[fanOutChunk:])
}

// local sends env to this node's sockets in its room.
func (h *Hub) local(env Envelope) {
	Send([]*Message{{env: env}}, h.rooms.sockets(env.Room)...)
}

// share sends on all processors but one, which is left to everybody else: what
// it waits for, such as a request's arrival, goes unnoticed while all are busy.
func share(messages []*Message, sockets []Socket) {
	var next atomic.Int64
	work := func(messages []*Message) {
		for {
			begin := int(next.Add(fanOutChunk)) - fanOutChunk
			if begin >= len(sockets) {
				return
			}
			send(messages, sockets[begin:min(begin+fanOutChunk, len(sockets))])
		}
	}
	var others sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0)-1, (len(sockets)+fanOutChunk-1)/fanOutChunk)
	for range workers - 1 {
		own := make([]*Message, len(messages))
		for i, m := range messages {
			own[i] = new(*m)
		}
		others.Go(func() { work(own) })
	}
	work(messages)
	others.Wait()
}

func send(messages []*Message, sockets []Socket) {
	if len(messages) == 1 {
		m := messages[0]
		engine.InTurns(sockets, func(s Socket) {
			if m.isFor(s) {
				s.Send(m.encoded(s.Codec()))
			}
		})
		return
	}
	frames := make([]*engine.Frame, 0, len(messages))
	engine.InTurns(sockets, func(s Socket) {
		frames = frames[:0]
		for _, m := range messages {
			if m.isFor(s) {
				frames = append(frames, m.encoded(s.Codec()))
			}
		}
		s.SendAll(frames)
	})
}

func (m *Message) isFor(s Socket) bool {
	return (m.env.Except == "" || s.ID() != m.env.Except) &&
		(len(m.env.To) == 0 || slices.Contains(m.env.To, s.UserID()))
}

func (m *Message) encoded(codec Codec) *engine.Frame {
	for i := range m.codecs {
		if m.frames[i].codec == codec {
			return m.frames[i].frame
		}
	}
	f := codec.Event(m.env.Event, m.env.Data)
	if m.codecs < len(m.frames) {
		m.frames[m.codecs] = frame{codec, f}
		m.codecs++
	}
	return f
}
