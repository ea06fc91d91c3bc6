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
// for each codec, however many sockets it is sent to and however often. Its
// methods must not be called concurrently.
type Message struct {
	env    Envelope
	frames frameCache
}

// NewMessage returns a message that sends env.
func NewMessage(env Envelope) *Message { return &Message{env: env} }

// Send sends the message to sockets. With gather it may wait in their queues
// for what follows, for the engine's gathering time at most. When Send returns,
// each socket has been sent it, so that what is sent next follows.
func (m *Message) Send(sockets []Socket, gather bool) {
	if len(sockets) <= fanOutAlone {
		m.frames.send(m.env, gather, sockets)
		return
	}
	m.frames.send(m.env, gather, sockets[:fanOutChunk]) // meets all codecs, in all likelihood
	m.frames.share(m.env, gather, sockets[fanOutChunk:])
}

// SendTo is Send to one socket.
func (m *Message) SendTo(s Socket, gather bool) { m.frames.sendTo(m.env, gather, s) }

// local sends env to this node's sockets in its room.
func (h *Hub) local(env Envelope) {
	m := Message{env: env}
	m.Send(h.rooms.sockets(env.Room), false)
}

// share sends env on several processors.
func (c *frameCache) share(env Envelope, gather bool, sockets []Socket) {
	var next atomic.Int64
	work := func(frames frameCache) {
		for {
			begin := int(next.Add(fanOutChunk)) - fanOutChunk
			if begin >= len(sockets) {
				return
			}
			frames.send(env, gather, sockets[begin:min(begin+fanOutChunk, len(sockets))])
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(sockets)+fanOutChunk-1)/fanOutChunk) - 1 {
		frames := *c
		others.Go(func() { work(frames) })
	}
	work(*c)
	others.Wait()
}

// frameCache holds one envelope's frames. There are few codecs: a slice is
// faster than a map.
type frameCache struct {
	entries [4]struct {
		codec Codec
		frame *engine.Frame
	}
	n int
}

func (c *frameCache) send(env Envelope, gather bool, sockets []Socket) {
	for _, s := range sockets {
		c.sendTo(env, gather, s)
	}
}

func (c *frameCache) sendTo(env Envelope, gather bool, s Socket) {
	if env.Except != "" && s.ID() == env.Except {
		return
	}
	if len(env.To) > 0 && !slices.Contains(env.To, s.UserID()) {
		return
	}
	if f := c.get(s.Codec(), env); gather {
		s.Queue(f)
	} else {
		s.Send(f)
	}
}

func (c *frameCache) get(codec Codec, env Envelope) *engine.Frame {
	for i := range c.n {
		if c.entries[i].codec == codec {
			return c.entries[i].frame
		}
	}
	f := codec.Event(env.Event, env.Data)
	if c.n < len(c.entries) {
		c.entries[c.n].codec, c.entries[c.n].frame = codec, f
		c.n++
	}
	return f
}
