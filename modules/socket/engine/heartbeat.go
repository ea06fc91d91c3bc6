package engine

import (
	"sync"
	"time"
)

// enginePing and webSocketPing ask a client for a sign of life.
var (
	enginePing    = newFrame(nil, []byte{'2'})
	webSocketPing = controlFrame(opPing, nil)
)

// heartbeat asks the client for a sign of life each interval and closes the
// connection when none comes in time: a client that is gone without a word is
// noticed within the interval and the timeout. One timer does both.
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
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	if h.waiting && !h.conn.busy.Load() { // while it is, the answer is waiting to be read
		h.conn.Close(PingTimeout)
		return
	}
	h.timer.Reset(h.conn.engine.cfg.PingTimeout)
	if h.waiting {
		return
	}
	h.waiting = true
	if h.conn.protocol == EngineIO {
		h.conn.Send(enginePing)
	} else {
		h.conn.Send(webSocketPing)
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
