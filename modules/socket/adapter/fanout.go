package adapter

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/modules/socket/engine"
)

const (
	// fanOutAlone is how many sockets one processor writes to by itself, in
	// some milliseconds. Larger rooms are shared among processors, which costs
	// a little more in all.
	fanOutAlone = 1024
	// fanOutChunk is how many a processor takes at a time then.
	fanOutChunk = 256
)

// Local sends env to this node's sockets in its room, encoding it once a codec.
// When it returns each has been sent it, so that what is sent next follows.
func (h *Hub) Local(env Envelope) {
	sockets := h.rooms.sockets(env.Room)
	var frames frameCache
	if len(sockets) <= fanOutAlone {
		frames.send(env, sockets)
		return
	}
	frames.send(env, sockets[:fanOutChunk]) // meets all codecs, in all likelihood
	frames.share(env, sockets[fanOutChunk:])
}

// share sends env on several processors.
func (c *frameCache) share(env Envelope, sockets []Socket) {
	var next atomic.Int64
	work := func(frames frameCache) {
		for {
			begin := int(next.Add(fanOutChunk)) - fanOutChunk
			if begin >= len(sockets) {
				return
			}
			frames.send(env, sockets[begin:min(begin+fanOutChunk, len(sockets))])
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

// frameCache holds one envelope's frames. There are as many codecs as doors:
// a slice is faster than a map.
type frameCache struct {
	entries [4]struct {
		codec Codec
		frame *engine.Frame
	}
	n int
}

func (c *frameCache) send(env Envelope, sockets []Socket) {
	for _, s := range sockets {
		if env.Except != "" && s.ID() == env.Except {
			continue
		}
		if len(env.To) > 0 && !slices.Contains(env.To, s.UserID()) {
			continue
		}
		if f := c.get(s.Codec(), env); env.Gather {
			s.Queue(f)
		} else {
			s.Send(f)
		}
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
