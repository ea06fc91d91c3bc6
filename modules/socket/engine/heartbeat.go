package engine

import (
	"sync"
	"time"
)

var (
	enginePing    = Plain.Frame([]byte{'2'})
	webSocketPing = controlFrame(opPing, nil)
)

// heartbeat pings the client at each interval, and closes the connection if no answer
// arrives within the timeout. One timer serves both purposes.
type heartbeat struct {
	mu      sync.Mutex
	conn    *Conn
	timer   *time.Timer // nil before start and after stop
	waiting bool        // the last ping is unanswered
	paused  bool        // the client is not being read from
	resumed bool        // a pause has ended since the last tick
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
	if h.waiting && !h.paused && !h.resumed {
		h.conn.Close(PingTimeout)
		return
	}
	h.resumed = false
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

// answered records that the client is alive. It reports whether an answer was expected.
func (h *heartbeat) answered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil || !h.waiting {
		return false
	}
	h.waiting = false
	h.timer.Reset(h.conn.engine.cfg.PingInterval)
	return true
}

// pauseLocked tells the heartbeat whether reading is paused. After a pause, the client gets
// the full timeout again, because its answer may still be unread.
func (h *heartbeat) pauseLocked(on bool) {
	h.paused, h.resumed = on, !on
}
