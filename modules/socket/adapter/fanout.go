package adapter

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/modules/socket/engine"
)

const (
	// fanOutAlone is the maximum number of sockets that one goroutine writes to, which
	// takes a few milliseconds. With more sockets the work is split among processors, which
	// costs a little more CPU time in total.
	fanOutAlone = 1024
	// fanOutChunk is the number of sockets that such a goroutine takes at a time.
	fanOutChunk = 256
)

// Message is an envelope for sockets of this node. It is encoded once for each codec, and
// can be sent several times, by one goroutine at a time.
type Message struct {
	env    Envelope
	frames [4]frame // faster than a map for so few codecs
	codecs int      // how many of frames are set
}

// frame is a message in the encoding of one codec.
type frame struct {
	codec Codec
	frame *engine.Frame
}

// NewMessage returns a message with env.
func NewMessage(env Envelope) *Message { return &Message{env: env} }

// Send sends messages to sockets. Each socket gets them in order, in one write where
// possible. When Send returns, every socket has been sent the messages.
func Send(messages []*Message, sockets ...Socket) {
	if len(sockets) <= fanOutAlone {
		send(messages, sockets)
		return
	}
	send(messages, sockets[:fanOutChunk]) // this probably encodes for all codecs
	share(messages, sockets[fanOutChunk:])
}

// share sends on all processors but one. If all were busy, network input would have to
// wait.
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
		engine.ForEach(sockets, func(s Socket) {
			if m.isFor(s) {
				s.Send(m.encoded(s.Codec()))
			}
		})
		return
	}
	frames := make([]*engine.Frame, 0, len(messages))
	engine.ForEach(sockets, func(s Socket) {
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
		(len(m.env.To) == 0 || slices.Contains(m.env.To, s.UserID())) &&
		(!m.env.Volatile || s.Writable())
}

func (m *Message) encoded(codec Codec) *engine.Frame {
	for i := range m.codecs {
		if m.frames[i].codec == codec {
			return m.frames[i].frame
		}
	}
	f := codec.Event(m.env)
	if m.env.Lossy {
		f = f.Lossy()
	}
	if m.codecs < len(m.frames) {
		m.frames[m.codecs] = frame{codec, f}
		m.codecs++
	}
	return f
}
