package engine

import (
	"cmp"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// pumped is a connection that melody's pump reads from. Closing it ends the
// pump. All frames are written through gorilla, which answers what breaks
// WebSocket by itself: its lock keeps frames apart, and it refuses those that
// would follow a close frame.
type pumped struct {
	webSocket
	engine  *Engine
	watched *watched
	frames  *websocket.Conn

	mu   sync.Mutex
	held chan struct{} // closed when the pump may go on; nil: it may
}

var _ transport = (*pumped)(nil)

// try implements transport: gorilla always waits.
func (*pumped) try([]byte) (int, error) { return 0, nil }

// write implements transport.
func (p *pumped) write(b *batch, deadline time.Time) error {
	for b.size > 0 {
		frames, size := b.group(gatherBuffer)
		if err := p.writeFrames(frames, deadline); err != nil {
			return err
		}
		b.wrote(size)
	}
	return nil
}

func (p *pumped) writeFrames(frames []*Frame, deadline time.Time) error {
	if len(frames) == 1 {
		return p.writeFrame(frames[0], deadline)
	}
	buffer := p.engine.buffers.gather()
	defer p.engine.buffers.put(buffer)
	p.watched.cork(*buffer)
	for _, f := range frames {
		if err := p.writeFrame(f, deadline); err != nil {
			return cmp.Or(p.watched.uncork(), err)
		}
	}
	return p.watched.uncork()
}

func (p *pumped) writeFrame(f *Frame, deadline time.Time) error {
	if op := f.op(); op.control() {
		return p.frames.WriteControl(int(op), f.Payload(), deadline)
	}
	if err := p.frames.SetWriteDeadline(deadline); err != nil {
		return err
	}
	return p.frames.WriteMessage(websocket.TextMessage, f.Payload())
}

// cut implements transport. A pump that is held would not notice.
func (p *pumped) cut() {
	p.close()
	p.hold(false)
}

// hold implements transport.
func (p *pumped) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.held == nil:
		p.held = make(chan struct{})
	case !on && p.held != nil:
		close(p.held)
		p.held = nil
	}
}

// pass returns when the pump may go on.
func (p *pumped) pass() {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held != nil {
		<-held
	}
}
