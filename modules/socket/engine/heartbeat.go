package engine

import (
	"sync"
	"time"
)

// enginePing and webSocketPing are heartbeats as whole frames.
var (
	enginePing    = newFrame(nil, []byte{'2'})
	webSocketPing = []byte{0x89, 0}
)

// heartbeat asks the client for a sign of life each interval and closes the
// connection when none comes in time. One timer does both.
type heartbeat struct {
	mu      sync.Mutex
	conn    *Conn
	timer   *time.Timer // nil before start and after stop
	waiting bool        // a heartbeat is unanswered
}

func (h *heartbeat) start(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = c
	h.timer = time.AfterFunc(c.engine.cfg.PingInterval, h.tick)
}

func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

func (h *heartbeat) tick() {
	h.mu.Lock()
	if h.timer == nil {
		h.mu.Unlock()
		return
	}
	dead := h.waiting
	if !dead {
		h.waiting = true
		h.timer.Reset(h.conn.engine.cfg.PingTimeout)
	}
	h.mu.Unlock()
	switch {
	case dead:
		h.conn.Close(PingTimeout)
	case h.conn.protocol == EngineIO:
		h.conn.Send(enginePing)
	default:
		h.conn.enqueue(webSocketPing)
	}
}

// seen takes a sign of life.
func (h *heartbeat) seen() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil || !h.waiting {
		return
	}
	h.waiting = false
	h.timer.Reset(h.conn.engine.cfg.PingInterval)
}
