package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestControlFlood sends control frames and empty fragments without end. A few must be handled,
// and many must close the connection.
func TestControlFlood(t *testing.T) {
	t.Parallel()
	// fragments returns a message in many empty fragments.
	fragments := func(n int) []byte {
		frames := []byte{byte(opText), 0x80, 0, 0, 0, 0}
		for range n {
			frames = append(frames, byte(opContinuation), 0x80, 0, 0, 0, 0)
		}
		return append(frames, fin|byte(opContinuation), 0x80, 0, 0, 0, 0)
	}
	raw := func(op opcode, payload string) func(n int) []byte {
		frame := append([]byte{fin | byte(op), 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
		return func(n int) []byte { return []byte(strings.Repeat(string(frame), n)) }
	}
	for name, c := range map[string]struct {
		protocol Protocol
		code     int
		frames   func(n int) []byte
	}{
		"pings":              {Plain, websocket.ClosePolicyViolation, raw(opPing, "ping")},
		"pongs":              {Plain, websocket.ClosePolicyViolation, raw(opPong, "")},
		"empty fragments":    {Plain, websocket.ClosePolicyViolation, fragments},
		"Engine.IO: pings":   {EngineIO, websocket.ClosePolicyViolation, raw(opPing, "")},
		"Engine.IO: pongs":   {EngineIO, websocket.ClosePolicyViolation, raw(opPong, "")},
		"Engine.IO packet 3": {EngineIO, websocket.ClosePolicyViolation, raw(opText, "3")},
		"Engine.IO packet 6": {EngineIO, websocket.ClosePolicyViolation, raw(opText, "6")},
	} {
		for transport, serve := range listeners {
			if transport == "wrapped" && name == "empty fragments" {
				continue // gorilla handles them in its reader
			}
			t.Run(transport+" "+name, func(t *testing.T) {
				t.Parallel()
				s := startOn(t, serve, Config{})
				few, _ := s.dial(t, c.protocol)
				send(t, few, c.frames(controlBurst))
				ws, r := s.dial(t, c.protocol)
				send(t, ws, c.frames(20*controlBurst))
				wantCode(t, ws, c.code)
				r.wantClosed(t, Flooded)
				_ = few.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				if _, _, err := few.ReadMessage(); websocket.IsCloseError(err, c.code) {
					t.Errorf("closed for %d of them: %v", controlBurst, err)
				}
			})
		}
	}
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		session := openSession(t, start(t, Config{}))
		session.post(strings.Repeat("6\x1e", controlBurst-1) + "6")
		session.post(strings.Repeat("6\x1e", 20*controlBurst) + "6")
		session.gone(Flooded)
	})
}

func send(t *testing.T, ws *websocket.Conn, frames []byte) {
	t.Helper()
	if _, err := ws.NetConn().Write(frames); err != nil {
		t.Fatal(err)
	}
}
