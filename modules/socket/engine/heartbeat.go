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
	paused  bool        // the answer may be waiting to be read
	unread  bool        // it was until a moment ago
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
	if h.waiting && !h.paused && !h.unread {
		h.conn.Close(PingTimeout)
		return
	}
	h.unread = false
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

// pauseLocked tells whether the client is read from. After a pause it has the
// whole timeout again: an answer may be behind much else.
func (h *heartbeat) pauseLocked(on bool) {
	h.paused, h.unread = on, !on
}
